import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { parse } from 'yaml';
import { AJV_OPTIONS } from '../../src/sbi/validation.ts';

/** The reference material beside the checkout; not part of the project. */
const SHARED = new URL('../../../shared/', import.meta.url).pathname;
export const OPENAPI = join(SHARED, 'openapi');
export const EXAMPLES = join(SHARED, 'standards/examples');
export const HAVE_OPENAPI = existsSync(OPENAPI);
export const HAVE_EXAMPLES = existsSync(EXAMPLES);

export const example = (name: string): unknown => JSON.parse(readFileSync(join(EXAMPLES, name), 'utf8'));

export interface Generation {
  readonly name: string;
  /** By file and schema name; throws when the generation has no such schema. */
  validator(file: string, schema: string): ValidateFunction;
}

/**
 * What is wrong in the files themselves (network-side.md 3.6 numbers 1, 2, 4, 6 of the errata): relaxed here, and nowhere else, so
 * that the rest of each schema still judges our messages.
 */
function overlay(file: string, schemas: Record<string, Record<string, never>>): void {
  const at = (...path: string[]) => {
    let node: Record<string, unknown> | undefined = schemas;
    for (const key of path) node = node?.[key] as Record<string, unknown> | undefined;
    return node;
  };
  if (/commondata/i.test(file)) {
    delete at('DcStream', 'properties', 'subprotocol')?.pattern;
    delete at('MaxMessageSize')?.maximum;
  }
}

/** Every generation that holds `file`, its schemas compiled together. */
export function generations(file: RegExp): Generation[] {
  if (!HAVE_OPENAPI) return [];
  return readdirSync(OPENAPI)
    .filter((name) => readdirSync(join(OPENAPI, name)).some((candidate) => file.test(candidate)))
    .map(load);
}

function load(name: string): Generation {
  const ajv = new Ajv({ ...AJV_OPTIONS, formats: {}, validateFormats: false });
  for (const file of readdirSync(join(OPENAPI, name)).filter((candidate) => /\.ya?ml$/.test(candidate))) {
    const document = parse(readFileSync(join(OPENAPI, name, file), 'utf8')) as {
      components?: { schemas?: Record<string, Record<string, never>> };
    };
    overlay(file, document.components?.schemas ?? {});
    ajv.addSchema({ ...document, $id: file }, file);
  }
  return {
    name,
    validator: (file, schema) => ajv.compile({ $ref: `${file}#/components/schemas/${schema}` }),
  };
}
