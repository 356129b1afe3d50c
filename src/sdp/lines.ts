import type { SdpLines } from './types.ts';

/** `name` of an `a=name` or `a=name:value` line; undefined for other lines. */
export function attributeName(line: string): string | undefined {
  if (!line.startsWith('a=')) return undefined;
  const colon = line.indexOf(':');
  return (colon === -1 ? line.slice(2) : line.slice(2, colon)).trimEnd();
}

/** What follows the colon, without blanks around it; '' for a flag. */
export function attributeText(line: string): string {
  const colon = line.indexOf(':');
  return colon === -1 ? '' : line.slice(colon + 1).trim();
}

/** Value of the first `a=<name>` line ('' for a flag); undefined if there is none. */
export function attribute(lines: SdpLines, name: string): string | undefined {
  const line = lines.find((l) => isAttribute(l, name));
  return line === undefined ? undefined : attributeText(line);
}

/** Values of all `a=<name>` lines, in order. */
export function attributes(lines: SdpLines, name: string): string[] {
  return lines.filter((l) => isAttribute(l, name)).map(attributeText);
}

export function isAttribute(line: string, name: string): boolean {
  if (!line.startsWith(name, 2) || line.charCodeAt(0) !== 0x61 || line.charCodeAt(1) !== 0x3d) return false;
  const next = line.charCodeAt(2 + name.length);
  return Number.isNaN(next) || next === 0x3a /* : */ || (next <= 0x20 && attributeName(line) === name);
}

/** Value of the first line of a type other than `a`, such as `c` or `o`. */
export function fieldText(lines: SdpLines, type: string): string | undefined {
  return lines
    .find((l) => isField(l, type))
    ?.slice(2)
    .trim();
}

/** What stands between the blanks of a line. */
export function words(text: string): string[] {
  const all = text.split(' ');
  return all.includes('') ? all.filter((word) => word !== '') : all;
}

export function isField(line: string, type: string): boolean {
  return line.charCodeAt(1) === 0x3d && line.startsWith(type);
}
