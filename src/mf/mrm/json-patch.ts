import { ImsdcError } from '../../errors.ts';
import type { PatchItem } from '../../services/nmf-mrm.ts';

/** Told of every member that an operation writes: the object and the member's name. */
export type OnWrite = (parent: object, key: string) => void;

/**
 * Applies RFC 6902 operations in order, in place: the caller passes a draft and drops it when this throws, so nothing
 * is ever half applied. Returns the document, which is another one when an operation replaced the root.
 *
 * @throws ImsdcError MF_PATCH_CONFLICT (409: a `test` failed, or a path leads nowhere), MF_PATCH_INVALID (400: not a
 * JSON pointer, an operation without what it needs)
 */
export function applyPatch(draft: unknown, items: readonly PatchItem[], onWrite: OnWrite = () => undefined): unknown {
  const patch = new Patch(draft, onWrite);
  for (const item of items) patch.apply(item);
  return patch.document;
}

type Container = Record<string, unknown> | unknown[];
type Pointer = readonly string[];

/** What one patch may copy, in JSON values: each `copy` can double the document, and depth with it. */
const MAX_COPIED_VALUES = 4_096;

class Patch {
  document: unknown;
  readonly #onWrite: OnWrite;
  /** Of the operation at work, for errors. */
  #index = -1;
  #copied = 0;

  constructor(document: unknown, onWrite: OnWrite) {
    this.document = document;
    this.#onWrite = onWrite;
  }

  apply(item: PatchItem): void {
    this.#index++;
    const path = this.#parse(item.path, 'path');
    switch (item.op) {
      case 'add':
        this.#add(path, clone(this.#value(item)));
        return;
      case 'replace':
        this.#read(path);
        this.#replace(path, clone(this.#value(item)));
        return;
      case 'remove':
        this.#remove(path);
        return;
      case 'test':
        if (!deepEqual(this.#read(path), this.#value(item))) throw this.#conflict(path, 'has another value');
        return;
      case 'move':
        this.#move(this.#parse(item.from, 'from'), path);
        return;
      case 'copy':
        this.#copy(this.#parse(item.from, 'from'), path);
    }
  }

  #add(path: Pointer, value: unknown): void {
    if (path.length === 0) {
      this.document = value;
      return;
    }
    const [parent, key] = this.#parentOf(path);
    if (Array.isArray(parent)) {
      // RFC 6901 4: `-` is the element after the last one.
      parent.splice(key === '-' ? parent.length : this.#arrayIndex(parent.length, key, path), 0, value);
    } else {
      parent[key] = value;
    }
    this.#onWrite(parent, key);
  }

  #replace(path: Pointer, value: unknown): void {
    if (path.length === 0) {
      this.document = value;
      return;
    }
    const [parent, key] = this.#parentOf(path);
    if (Array.isArray(parent)) parent[this.#arrayIndex(parent.length - 1, key, path)] = value;
    else parent[key] = value;
    this.#onWrite(parent, key);
  }

  #remove(path: Pointer): void {
    this.#read(path);
    if (path.length === 0) throw this.#invalid('/path', 'names the whole document');
    const [parent, key] = this.#parentOf(path);
    if (Array.isArray(parent)) parent.splice(this.#arrayIndex(parent.length - 1, key, path), 1);
    else delete parent[key];
    this.#onWrite(parent, key);
  }

  #move(from: Pointer, path: Pointer): void {
    const value = this.#read(from);
    const inside = from.every((token, i) => token === path[i]);
    if (inside && from.length === path.length) return;
    // RFC 6902 4.4: a value cannot be moved into itself.
    if (inside) throw this.#invalid('/from', 'is a parent of path');
    this.#remove(from);
    this.#add(path, value);
  }

  #copy(from: Pointer, path: Pointer): void {
    const value = this.#read(from);
    this.#copied += countValues(value, MAX_COPIED_VALUES);
    if (this.#copied > MAX_COPIED_VALUES) throw this.#invalid('/from', 'leads to too much to copy');
    this.#add(path, clone(value));
  }

  #value(item: PatchItem): unknown {
    if (item.value === undefined) throw this.#invalid('/value', 'missing');
    return item.value;
  }

  #read(path: Pointer): unknown {
    let value = this.document;
    for (const [depth, token] of path.entries()) {
      if (Array.isArray(value)) value = value[this.#arrayIndex(value.length - 1, token, path.slice(0, depth + 1))];
      else if (isObject(value) && Object.hasOwn(value, token)) value = value[token];
      else throw this.#conflict(path.slice(0, depth + 1), 'does not exist');
    }
    return value;
  }

  #parentOf(path: Pointer): [Container, string] {
    const parent = this.#read(path.slice(0, -1));
    if (!isObject(parent)) throw this.#conflict(path, 'leads into a plain value');
    return [parent, path.at(-1)!];
  }

  #arrayIndex(last: number, token: string, path: Pointer): number {
    // RFC 6901 4: digits without leading zeros.
    if (!/^(?:0|[1-9][0-9]{0,8})$/.test(token)) throw this.#conflict(path, 'is not an array index');
    if (Number(token) > last) throw this.#conflict(path, 'is beyond the end of the array');
    return Number(token);
  }

  #parse(text: string | undefined, name: 'from' | 'path'): Pointer {
    if (text === undefined) throw this.#invalid(`/${name}`, 'missing');
    if (text === '') return [];
    if (!text.startsWith('/') || /~(?![01])/.test(text)) throw this.#invalid(`/${name}`, 'is not a JSON pointer');
    const tokens = text.slice(1).split('/').map(unescapeToken);
    // Assigning to it would change the object's prototype instead of a member.
    if (tokens.includes('__proto__')) throw this.#invalid(`/${name}`, 'names __proto__');
    return tokens;
  }

  #conflict(path: Pointer, problem: string): ImsdcError {
    const pointer = path.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
    const invalidParams = [{ param: `/${this.#index}/path`, reason: problem }];
    return new ImsdcError('MF_PATCH_CONFLICT', { index: this.#index, path: pointer, problem, invalidParams });
  }

  #invalid(member: string, problem: string): ImsdcError {
    const invalidParams = [{ param: `/${this.#index}${member}`, reason: problem }];
    return new ImsdcError('MF_PATCH_INVALID', { index: this.#index, member, problem, invalidParams });
  }
}

const unescapeToken = (token: string) => token.replaceAll('~1', '/').replaceAll('~0', '~');
/** Arrays are objects here: their members are checked by the caller. */
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** A copy of plain JSON. Depth is bounded by the parser and by MAX_COPIED_VALUES. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (!isObject(value)) return value;
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(value)) out[key] = clone(value[key]);
  return out as T;
}

/** RFC 6902 4.6: members in any order, numbers by value. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => deepEqual(item, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && deepEqual(a[key], b[key]))
  );
}

/** About how long `value` is as JSON text; stops counting above `limit`. */
export function weightOf(value: unknown, limit: number): number {
  if (typeof value === 'string') return value.length + 2;
  if (!isObject(value)) return 4;
  let weight = 2;
  for (const key of Object.keys(value)) {
    weight += key.length + 3 + weightOf((value as Record<string, unknown>)[key], limit - weight);
    if (weight > limit) break;
  }
  return weight;
}

/** How many values `value` holds, itself included; stops counting above `limit`. */
function countValues(value: unknown, limit: number): number {
  if (!isObject(value)) return 1;
  let count = 1;
  for (const item of Object.values(value)) {
    if (count > limit) break;
    count += countValues(item, limit - count);
  }
  return count;
}
