/**
 * The pure half of Mapwire: the mapping table, the compiler to a node's plan, and the reference model of what happens to a
 * packet. No root, no addon, any operating system.
 */
export * from './compiler/index.ts';
export { ERRORS, type ErrorCode, type ErrorDetails, MapwireError } from './errors.ts';
export * from './simulator/index.ts';
export * from './table/index.ts';
