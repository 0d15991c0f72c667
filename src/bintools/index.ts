/**
 * `mapwire/bintools`: readers for ELF and BTF, C layouts, codecs. Pure TypeScript without dependencies: needs neither
 * root nor Linux. What runs compilers is in tools/ and is not part of it.
 */
export * from './btf.ts';
export * from './c-layout.ts';
export { bytesCodec, type Codec, defineCodec, INT_CODECS } from './codec.ts';
export * from './compare-map.ts';
export { describeObject, type MapDescription, type ObjectDescription } from './describe.ts';
export * from './elf.ts';
export type { NamedObject } from './exported-types.ts';
export { type GeneratedFiles, generate } from './generate.ts';
export { keyShape, layoutHash, objectLayoutHash, valueShape } from './layout-hash.ts';
export { type MapDefinition, readMapDefinitions } from './map-definitions.ts';
export type { MapLayout, MapSpec, ObjectSpec, OuterMapSpec, ProgramSpec } from './map-spec.ts';
export * from './map-types.ts';
export * from './object.ts';
export { renderDescription } from './render-description.ts';
export * from './shape.ts';
export { codecOf, type Value } from './shape-codec.ts';
