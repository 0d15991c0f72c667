/** The reference model of the data plane. Pure: no kernel, no addon, no compiler. */
export { type SimulationInput, simulate } from './simulate.ts';
export * from './types.ts';
export { World } from './world.ts';
