import type { CStructLayout } from './c-layout.ts';
import type { MapDescription, ObjectDescription } from './describe.ts';

/** The text of `mapwire inspect`, ending with a newline. */
export function renderDescription(description: ObjectDescription): string {
  const parts = [
    `license      ${description.license ?? '(none)'}`,
    `layout hash  ${description.layoutHash ?? '(none: see the refusals below)'}`,
    `BTF          ${description.btfTypes} types`,
    ...heading('programs'),
    ...columns(
      ['name', 'section', 'instructions', ''],
      description.programs.map((program) => [
        program.name,
        program.section,
        String(program.instructions),
        program.subprogram ? 'subprogram' : '',
      ]),
    ),
    ...heading('maps'),
    ...columns(
      ['name', 'type', 'key', 'value', 'entries', 'bytes', 'flags'],
      description.maps.flatMap((map) => [mapRow(map), ...(map.inner ? [mapRow(map.inner)] : [])]),
    ),
    ...heading('variables'),
    ...columns(
      ['name', 'section', 'type', 'offset', 'bytes'],
      description.variables.map((variable) => [
        variable.name,
        variable.section,
        variable.type,
        String(variable.offset),
        String(variable.size),
      ]),
    ),
    ...heading('layouts'),
    ...description.structs.flatMap(structLines),
    ...description.enums.flatMap((enumeration) => [
      `enum ${enumeration.name || '{…}'} {  /* ${enumeration.size} bytes */`,
      ...enumeration.values.map(({ name, value }) => `\t${name} = ${value},`),
      '};',
    ]),
    ...heading('sections'),
    ...columns(
      ['name', 'type', 'flags', 'offset', 'bytes'],
      description.sections.map((section) => [
        section.name,
        section.type,
        section.flags,
        String(section.offset),
        String(section.size),
      ]),
    ),
    ...heading('symbols'),
    ...columns(
      ['name', 'type', 'binding', 'section', 'value', 'bytes'],
      description.symbols.map((symbol) => [
        symbol.name,
        symbol.type,
        symbol.binding,
        symbol.section,
        String(symbol.value),
        String(symbol.size),
      ]),
    ),
    ...(description.refusals.length > 0 ? [...heading('refusals'), ...description.refusals] : []),
  ];
  return `${parts.join('\n')}\n`;
}

function heading(title: string): string[] {
  return ['', title, '-'.repeat(title.length)];
}

function mapRow(map: MapDescription): string[] {
  return [
    map.name,
    map.type,
    map.key ?? '-',
    map.value ?? '-',
    String(map.maxEntries),
    `${map.keySize}+${map.valueSize}`,
    [...map.flags, ...(map.pinned ? ['pinned'] : [])].join(','),
  ];
}

function columns(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return ['(none)'];
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(titles), ...rows.map(line)];
}

function structLines(struct: CStructLayout): string[] {
  const places: { readonly offset: number; readonly text: string }[] = struct.members.map((member) => {
    const bits = member.bits ? ` : ${member.bits.width}` : '';
    const at = member.bits ? `bit ${member.bits.offset}` : `${member.offset}`;
    return {
      offset: member.offset,
      text: `\t${declaration(member.type, member.name)}${bits};  /* ${at}, ${member.size} bytes */`,
    };
  });
  for (const hole of struct.holes)
    places.push({ offset: hole.offset, text: `\t/* ${hole.offset}, hole of ${hole.size} bytes */` });
  const order = struct.kind === 'union' ? places : places.sort((a, b) => a.offset - b.offset);
  const packed = struct.packed ? ', packed' : '';
  return [
    `${struct.kind} ${struct.name || '{…}'} {  /* ${struct.size} bytes, aligned to ${struct.align}${packed} */`,
    ...order.map(({ text }) => text),
    '};',
  ];
}

/** `__u8[16]` and `addr` → `__u8 addr[16]`. */
function declaration(type: string, name: string): string {
  if (name === '') return type;
  const bounds = type.indexOf('[');
  if (bounds >= 0) return `${type.slice(0, bounds)} ${name}${type.slice(bounds)}`;
  return type.endsWith('*') ? `${type}${name}` : `${type} ${name}`;
}
