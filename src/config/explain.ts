import type { TSchema } from 'typebox';

/** Just what JSON Schema keywords the explanation reads. */
interface Shape {
  type?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  anyOf?: Shape[];
  enum?: unknown[];
  properties?: Record<string, Shape>;
  items?: Shape;
  minimum?: number;
  maximum?: number;
}

/** The schema as the operator's reference: one line per key with type, default and meaning. */
export function explainSchema(schema: TSchema): string {
  const rows: [string, string, string][] = [];
  walk(schema as Shape, '', rows);
  const width = Math.min(48, Math.max(...rows.map(([key]) => key.length)) + 2);
  const typeWidth = Math.min(40, Math.max(...rows.map(([, type]) => type.length)) + 2);
  return rows.map(([key, type, text]) => `${key.padEnd(width)}${type.padEnd(typeWidth)}${text}`.trimEnd()).join('\n');
}

function walk(shape: Shape, path: string, rows: [string, string, string][]): void {
  for (const [key, child] of Object.entries(shape.properties ?? {})) {
    const here = path === '' ? key : `${path}.${key}`;
    if (child.properties) {
      if (child.description) rows.push([here, 'object', child.description]);
      walk(child, here, rows);
    } else if (child.type === 'array' && child.items?.properties) {
      rows.push([`${here}[]`, 'list', child.description ?? '']);
      walk(child.items, `${here}[]`, rows);
    } else {
      rows.push([here, typeText(child), child.description ?? '']);
    }
  }
}

function typeText(shape: Shape): string {
  const choices = shape.enum ?? shape.anyOf?.map((one) => one.const).filter((one) => one !== undefined);
  let type = choices && choices.length > 0 ? choices.join('|') : (shape.type ?? 'any');
  if (shape.type === 'array' && shape.items) type = `list of ${typeText(shape.items)}`;
  if (shape.minimum !== undefined && shape.maximum !== undefined) type += ` ${shape.minimum}..${shape.maximum}`;
  return shape.default === undefined ? type : `${type} = ${JSON.stringify(shape.default)}`;
}
