import { MapwireError } from '../errors.ts';
import { type Btf, type BtfEnum, resolve } from './btf.ts';
import { keyShape, valueShape } from './layout-hash.ts';
import type { MapDefinition } from './map-definitions.ts';
import type { ObjectFile } from './object.ts';
import { type Shape, type StructShape, shapeName, shapeOf } from './shape.ts';

/** An object file with the name it is known by. */
export interface NamedObject {
  /** e.g. `xdp`. */
  readonly name: string;
  /** e.g. `xdp.bpf.o`. */
  readonly file: string;
  readonly object: ObjectFile;
}

export interface ExportedEnum {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

export interface ExportedMap {
  readonly definition: MapDefinition;
  readonly key: Shape;
  readonly value: Shape;
  readonly inner?: ExportedMap;
}

/** Everything user space shares with the objects, each in the order of names (structs: what others contain first). */
export interface ExportedTypes {
  readonly structs: readonly StructShape[];
  readonly enums: readonly ExportedEnum[];
  readonly maps: readonly ExportedMap[];
}

/** The struct whose members are exported although no map has them (bpf/btf_anchor.h). */
const ANCHOR = 'mw_types';

/**
 * Collects the types reachable by value from map keys and values, read-only variables and the anchor, and checks that
 * all objects agree on each. Throws ERR_MW_LAYOUT where they do not, or where a type cannot be represented.
 */
export function exportedTypes(objects: readonly NamedObject[]): ExportedTypes {
  const structs = new Agreement<StructShape>('struct');
  const enums = new Agreement<ExportedEnum>('enum');
  const maps = new Agreement<ExportedMap>('map');
  for (const { file, object } of objects) {
    const add = (shape: Shape): void => {
      for (const struct of structsIn(shape)) structs.add(struct.name, struct, struct, file);
    };
    for (const definition of object.maps) {
      const map = exportedMap(object, definition);
      maps.add(definition.name, map, describeMap(map), file);
      for (const part of map.inner ? [map, map.inner] : [map]) {
        add(part.key);
        add(part.value);
      }
    }
    for (const variable of object.variables) {
      const type = resolve(object.btf, variable.type);
      if (type.kind === 'struct' && type.name === ANCHOR) {
        for (const member of type.members) {
          const target = resolve(object.btf, member.type);
          if (target.kind === 'enum') {
            const exported = exportedEnum(target);
            enums.add(target.name, exported, exported, file);
          } else {
            add(shapeOf(object.btf, member.type));
          }
        }
      } else if (variable.section === '.rodata' && type.kind === 'struct') {
        add(shapeOf(object.btf, variable.type));
      }
    }
    addEnumFields(object.btf, structs, enums, file);
  }
  return { structs: inDependencyOrder(structs.sorted()), enums: enums.sorted(), maps: maps.sorted() };
}

/** Remembers each thing by name and refuses a second one that differs. */
class Agreement<T> {
  readonly #kind: string;
  readonly #known = new Map<string, { readonly thing: T; readonly text: string; readonly file: string }>();

  constructor(kind: string) {
    this.#kind = kind;
  }

  add(name: string, thing: T, compared: unknown, file: string): void {
    const text = JSON.stringify(compared);
    const known = this.#known.get(name);
    if (!known) {
      this.#known.set(name, { thing, text, file });
    } else if (known.text !== text) {
      throw new MapwireError('ERR_MW_LAYOUT', `${this.#kind} ${name} is not the same in ${known.file} and ${file}`, {
        hint: 'both objects must include the same headers and be compiled together',
        details: { path: name, [known.file]: known.text, [file]: text },
      });
    }
  }

  sorted(): T[] {
    return [...this.#known.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { thing }]) => thing);
  }
}

function exportedMap(object: ObjectFile, definition: MapDefinition): ExportedMap {
  return {
    definition,
    key: keyShape(object, definition),
    value: valueShape(object, definition),
    ...(definition.inner ? { inner: exportedMap(object, definition.inner) } : {}),
  };
}

/** Without the BTF ids, which differ from object to object. */
function describeMap(map: ExportedMap): unknown {
  const { keyType: _key, valueType: _value, inner: _inner, ...definition } = map.definition;
  return [definition, shapeName(map.key), shapeName(map.value), map.inner ? describeMap(map.inner) : null];
}

function* structsIn(shape: Shape): Generator<StructShape> {
  if (shape.kind === 'array') yield* structsIn(shape.element);
  if (shape.kind !== 'struct') return;
  if (shape.name === '') {
    throw new MapwireError('ERR_MW_LAYOUT', 'an anonymous struct is part of a map or a constant', {
      hint: 'name it, so that its codec has a name',
      details: { path: shape.fields.map((field) => field.name).join(', ') },
    });
  }
  for (const field of shape.fields) yield* structsIn(field.shape);
  yield shape;
}

function exportedEnum(type: BtfEnum): ExportedEnum {
  // two names for one number have no order in BTF that could be relied on, but they keep that of the source
  return { name: type.name, values: type.values.map(({ name, value }) => ({ name, value })) };
}

/** Enums that a field has as its type are exported too. */
function addEnumFields(btf: Btf, structs: Agreement<StructShape>, enums: Agreement<ExportedEnum>, file: string): void {
  const named = new Set<string>();
  const visit = (shape: Shape): void => {
    if (shape.kind === 'int' && shape.enum !== undefined) named.add(shape.enum);
    if (shape.kind === 'array') visit(shape.element);
    if (shape.kind === 'struct') for (const field of shape.fields) visit(field.shape);
  };
  for (const struct of structs.sorted()) visit(struct);
  for (const type of btf.types) {
    if (type.kind === 'enum' && named.has(type.name))
      enums.add(type.name, exportedEnum(type), exportedEnum(type), file);
  }
}

function inDependencyOrder(structs: readonly StructShape[]): StructShape[] {
  const ordered = new Map<string, StructShape>();
  for (const struct of structs) for (const part of structsIn(struct)) ordered.set(part.name, part);
  return [...ordered.values()];
}
