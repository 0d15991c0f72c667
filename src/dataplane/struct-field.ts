import type { FieldShape, Shape } from '../bintools/shape.ts';
import { MapwireError } from '../errors.ts';

/** Where a field lies in a struct, for code that works on the bytes. @throws ERR_MW_LAYOUT */
export function fieldOf(shape: Shape, name: string): FieldShape {
  const field = shape.kind === 'struct' ? shape.fields.find((one) => one.name === name) : undefined;
  if (field === undefined) throw new MapwireError('ERR_MW_LAYOUT', `the struct has no ${name}`);
  return field;
}
