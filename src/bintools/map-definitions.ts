import { MapwireError } from '../errors.ts';
import { type Btf, type BtfStruct, resolve, typeOf } from './btf.ts';
import { sizeOf } from './c-layout.ts';
import { mapTypeName } from './map-types.ts';

/** A map as the object declares it in `.maps`. Sizes in bytes. */
export interface MapDefinition {
  readonly name: string;
  /** As bpftool names it, e.g. `hash`. */
  readonly type: string;
  /** `BPF_MAP_TYPE_*`. */
  readonly typeNumber: number;
  /** 0 when not declared. */
  readonly keySize: number;
  readonly valueSize: number;
  /** BTF ids of the key's and value's type; undefined when only a size is declared. */
  readonly keyType: number | undefined;
  readonly valueType: number | undefined;
  /** 0 when not declared. */
  readonly maxEntries: number;
  readonly flags: number;
  /** `LIBBPF_PIN_*`: 1 pins by name. */
  readonly pinning: number;
  readonly mapExtra: number;
  /** Of a map of maps: what its elements are. Programs in a prog_array are not shown. */
  readonly inner?: MapDefinition;
}

/**
 * The maps of an object, in the order of their names. They are declared as variables of section `.maps` whose struct
 * members carry numbers and types (`__uint`, `__type`, `__array` of libbpf's bpf_helpers.h).
 *
 * Throws ERR_MW_BTF for declarations this cannot read.
 */
export function readMapDefinitions(btf: Btf): MapDefinition[] {
  const section = btf.types.find((type) => type.kind === 'datasec' && type.name === '.maps');
  if (section?.kind !== 'datasec') return [];
  const maps = section.variables.map(({ type: id }) => {
    const variable = typeOf(btf, id);
    if (variable.kind !== 'var') throw damaged(`.maps`, `type ${id} is a ${variable.kind}, not a variable`);
    const struct = resolve(btf, variable.type);
    if (struct.kind !== 'struct') throw damaged(variable.name, `is a ${struct.kind}, not a struct`);
    return readDefinition(btf, variable.name, struct, false);
  });
  return maps.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function damaged(map: string, problem: string): MapwireError {
  return new MapwireError('ERR_MW_BTF', `map '${map}' ${problem}`, {
    hint: 'declare maps with __uint, __type and __array of bpf_helpers.h',
  });
}

function readDefinition(btf: Btf, name: string, struct: BtfStruct, isInner: boolean): MapDefinition {
  const numbers = new Map<string, number>();
  const types = new Map<string, number>();
  let inner: MapDefinition | undefined;
  let holdsObjects = false;
  for (const member of struct.members) {
    switch (member.name) {
      case 'type':
      case 'max_entries':
      case 'map_flags':
      case 'key_size':
      case 'value_size':
      case 'pinning':
      case 'numa_node':
      case 'map_extra':
        numbers.set(member.name, numberOf(btf, member.type, name, member.name));
        break;
      case 'key':
      case 'value': {
        const pointer = resolve(btf, member.type);
        if (pointer.kind !== 'ptr') throw damaged(name, `has a ${member.name} that is no pointer to its type`);
        types.set(member.name, pointer.type);
        break;
      }
      case 'values':
        if (isInner) throw damaged(name, 'is a map of maps inside a map of maps');
        holdsObjects = true;
        inner = readValues(btf, member.type, name);
        break;
      default:
        throw damaged(name, `has the attribute '${member.name}', which is not known`);
    }
  }
  const typeNumber = numbers.get('type') ?? 0;
  const sizes = { key: numbers.get('key_size') ?? 0, value: numbers.get('value_size') ?? 0 };
  for (const [what, id] of types) {
    const size = sizeOf(btf, id);
    const declared = sizes[what as 'key' | 'value'];
    if (declared !== 0 && declared !== size) {
      throw damaged(name, `declares ${what}_size ${declared} and a ${what} of ${size} bytes`);
    }
    sizes[what as 'key' | 'value'] = size;
  }
  return {
    name,
    type: mapTypeName(typeNumber),
    typeNumber,
    keySize: sizes.key,
    // maps and programs are file descriptors when written, ids when read: 32 bits
    valueSize: holdsObjects && sizes.value === 0 ? 4 : sizes.value,
    keyType: types.get('key'),
    valueType: types.get('value'),
    maxEntries: numbers.get('max_entries') ?? 0,
    flags: numbers.get('map_flags') ?? 0,
    pinning: numbers.get('pinning') ?? 0,
    mapExtra: numbers.get('map_extra') ?? 0,
    ...(inner ? { inner } : {}),
  };
}

/** `__uint(x, N)` is a pointer to an array of N; `__ulong(x, N)` an enum with the value N. */
function numberOf(btf: Btf, id: number, map: string, attribute: string): number {
  const type = resolve(btf, id);
  if (type.kind === 'ptr') {
    const array = resolve(btf, type.type);
    if (array.kind === 'array') return array.count;
  }
  if (type.kind === 'enum' || type.kind === 'enum64') {
    const value = type.values[0]?.value;
    if (value !== undefined) return Number(value);
  }
  throw damaged(map, `has an attribute '${attribute}' that is no number`);
}

/** `__array(values, T)` is an array, without length, of pointers to T: an inner map's struct, or a function. */
function readValues(btf: Btf, id: number, map: string): MapDefinition | undefined {
  const array = resolve(btf, id);
  if (array.kind !== 'array') throw damaged(map, 'has values that are no array');
  const pointer = resolve(btf, array.element);
  const struct = pointer.kind === 'ptr' ? resolve(btf, pointer.type) : pointer;
  if (struct.kind === 'func_proto') return undefined;
  if (struct.kind !== 'struct') throw damaged(map, `has values of kind ${struct.kind}`);
  return readDefinition(btf, `${map}.inner`, struct, true);
}
