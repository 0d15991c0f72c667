import { createHash } from 'node:crypto';
import type { MapDefinition } from './map-definitions.ts';
import type { MapLayout } from './map-spec.ts';
import type { ObjectFile } from './object.ts';
import { type Shape, shapeOf } from './shape.ts';

interface HashedMap {
  readonly name: string;
  readonly type: string;
  readonly flags: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly inner?: HashedMap;
}

/**
 * One short text for the layout of all maps: names, types, flags and every field of keys and values. Sizes in entries
 * do not count, the plan decides them. Equal hashes mean that maps can be shared.
 */
export function layoutHash(maps: Iterable<MapLayout>): string {
  return digest([...maps].map(hashedSpec));
}

/** The layout hash of an object file. Throws ERR_MW_LAYOUT when a key or value cannot be represented. */
export function objectLayoutHash(object: ObjectFile): string {
  return digest(object.maps.map((map) => hashedDefinition(object, map)));
}

function digest(maps: readonly HashedMap[]): string {
  const sorted = [...maps].sort((a, b) => (a.name < b.name ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
}

function hashedSpec(map: MapLayout): HashedMap {
  return {
    name: map.name,
    type: map.type,
    flags: map.flags,
    key: canonical(map.key.shape),
    value: canonical(map.value.shape),
    ...(map.inner ? { inner: hashedSpec({ ...map.inner, name: '' }) } : {}),
  };
}

function hashedDefinition(object: ObjectFile, map: MapDefinition): HashedMap {
  return {
    name: map.name,
    type: map.type,
    flags: map.flags,
    key: canonical(keyShape(object, map)),
    value: canonical(valueShape(object, map)),
    ...(map.inner ? { inner: hashedDefinition(object, { ...map.inner, name: '' }) } : {}),
  };
}

/** The shape of a map's keys; of a map that declares only a size, bytes. Throws ERR_MW_LAYOUT. */
export function keyShape(object: ObjectFile, map: MapDefinition): Shape {
  if (map.keyType !== undefined)
    return shapeOf(object.btf, map.keyType, pathOf(object, map.keyType, `${map.name}.key`));
  return sized(map.keySize);
}

/** The shape of a map's values. Throws ERR_MW_LAYOUT. */
export function valueShape(object: ObjectFile, map: MapDefinition): Shape {
  if (map.valueType !== undefined) {
    return shapeOf(object.btf, map.valueType, pathOf(object, map.valueType, `${map.name}.value`));
  }
  return sized(map.valueSize);
}

function pathOf(object: ObjectFile, id: number, fallback: string): string {
  const type = object.btf.types[id];
  return type?.kind === 'struct' && type.name !== '' ? type.name : fallback;
}

function sized(size: number): Shape {
  return size === 4 ? { kind: 'int', type: 'u32', size: 4 } : { kind: 'bytes', size };
}

/** Independent of the order in which properties were written. */
function canonical(shape: Shape): unknown {
  switch (shape.kind) {
    case 'int':
      return shape.type;
    case 'bytes':
      return `bytes:${shape.size}`;
    case 'array':
      return [shape.count, canonical(shape.element)];
    case 'struct':
      return {
        struct: shape.name,
        size: shape.size,
        fields: shape.fields.map((field) => [field.name, field.offset, canonical(field.shape)]),
      };
  }
}
