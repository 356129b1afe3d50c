/**
 * The vocabulary in which frames are defined: a field is data (name, type, bound, unit, meaning), so one table drives
 * the TypeScript codec, the C++ header and the document. All numbers are little-endian.
 *
 * | type   | on the wire                                              |
 * |--------|----------------------------------------------------------|
 * | u8..64 | 1, 2, 4, 8 bytes; u64 values stay below 2^53             |
 * | bool   | u8, 0 or 1                                               |
 * | enum   | u8, an index into the named values                       |
 * | string | u16 length, then UTF-8; at most `max` bytes              |
 * | bytes  | u32 length, then the bytes; at most `max`                |
 * | list   | u16 count, then `count` records; at most `max`           |
 */
export type Field = NumberField | BoolField | EnumField | TextField | ListField;

export interface NumberField<N extends string = string> {
  readonly name: N;
  readonly type: 'u8' | 'u16' | 'u32' | 'u64';
  readonly doc: string;
}
export interface BoolField<N extends string = string> {
  readonly name: N;
  readonly type: 'bool';
  readonly doc: string;
}
export interface EnumField<N extends string = string, V extends string = string> {
  readonly name: N;
  readonly type: 'enum';
  /** Index == wire value; only ever appended to. */
  readonly values: readonly V[];
  readonly doc: string;
}
export interface TextField<N extends string = string, T extends 'string' | 'bytes' = 'string' | 'bytes'> {
  readonly name: N;
  readonly type: T;
  /** Bytes. */
  readonly max: number;
  readonly doc: string;
}
export interface ListField<N extends string = string, F extends readonly Field[] = readonly Field[]> {
  readonly name: N;
  readonly type: 'list';
  /** Records. */
  readonly max: number;
  /** Name of the record's struct in C++. */
  readonly record: string;
  readonly of: F;
  readonly doc: string;
}

/** The value a field carries in TypeScript. */
export type FieldValue<F> = F extends NumberField
  ? number
  : F extends BoolField
    ? boolean
    : F extends EnumField<string, infer V>
      ? V
      : F extends TextField<string, 'bytes'>
        ? Uint8Array
        : F extends TextField<string, 'string'>
          ? string
          : F extends ListField<string, infer Of>
            ? readonly Body<Of>[]
            : never;

/** The body of a frame or the record of a list: one property per field. */
export type Body<F extends readonly Field[]> = { readonly [E in F[number] as E['name']]: FieldValue<E> };

const number =
  <T extends NumberField['type']>(type: T) =>
  <const N extends string>(name: N, doc: string): NumberField<N> => ({ name, type, doc });

export const u8 = number('u8');
export const u16 = number('u16');
export const u32 = number('u32');
export const u64 = number('u64');

export function bool<const N extends string>(name: N, doc: string): BoolField<N> {
  return { name, type: 'bool', doc };
}

export function oneOf<const N extends string, const V extends string>(
  name: N,
  values: readonly V[],
  doc: string,
): EnumField<N, V> {
  return { name, type: 'enum', values, doc };
}

export function string<const N extends string>(name: N, max: number, doc: string): TextField<N, 'string'> {
  return { name, type: 'string', max, doc };
}

export function bytes<const N extends string>(name: N, max: number, doc: string): TextField<N, 'bytes'> {
  return { name, type: 'bytes', max, doc };
}

export function list<const N extends string, const F extends readonly Field[]>(
  name: N,
  max: number,
  record: string,
  of: F,
  doc: string,
): ListField<N, F> {
  return { name, type: 'list', max, record, of, doc };
}
