import type { QosHint } from './types.ts';

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+$/;

/**
 * Reads an a=3gpp-qos-hint value (TS 26.114 6.2.7.4.2): `hint *(";" hint)` with
 * `hint = property ["=" value *("/" method ":" value)]`. A malformed or repeated hint is dropped alone (6.2.7.4.4);
 * `notes` takes the reason.
 */
export function parseQosHints(text: string, notes: string[]): QosHint[] {
  const hints: QosHint[] = [];
  for (const part of text.split(';')) {
    const hint = parseHint(part.trim());
    if (!hint) notes.push(`3gpp-qos-hint: cannot read '${part.trim().slice(0, 40)}'`);
    else if (hints.some((h) => h.property === hint.property))
      notes.push(`3gpp-qos-hint: ${hint.property} is given twice`);
    else hints.push(hint);
  }
  return hints;
}

function parseHint(text: string): QosHint | undefined {
  const equals = text.indexOf('=');
  const property = (equals === -1 ? text : text.slice(0, equals)).trim();
  if (!TOKEN.test(property)) return undefined;
  if (equals === -1) return { property, splits: [] };
  const [value = '', ...splitTexts] = text
    .slice(equals + 1)
    .split('/')
    .map((s) => s.trim());
  if (!TOKEN.test(value)) return undefined;
  const splits: { method: string; value: string }[] = [];
  for (const split of splitTexts) {
    const [method = '', splitValue = '', ...rest] = split.split(':');
    if (rest.length > 0 || !TOKEN.test(method) || !TOKEN.test(splitValue)) return undefined;
    splits.push({ method, value: splitValue });
  }
  return { property, value, splits };
}
