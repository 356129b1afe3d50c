import { existsSync, readFileSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import type { TObject } from 'typebox';
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml';
import { ImsdcError } from '../errors.ts';

/** One thing that is wrong with a configuration, where the operator will look for it. */
export interface ConfigProblem {
  readonly file: string;
  /** 1-based; 0 when the value came from the environment or is missing altogether. */
  readonly line: number;
  /** Dotted, as `imsdc check --explain` prints it: `mf.portRange.first`. */
  readonly key: string;
  readonly problem: string;
}

export interface LoadedConfig<T> {
  readonly config: T;
  readonly problems: readonly ConfigProblem[];
}

const ENV_PREFIX = 'IMSDC__';

/**
 * Reads one YAML file, lays environment overrides over it (`IMSDC__mf__listen__port=0`: double underscores between
 * keys, values as YAML), checks it against `schema` and fills in defaults. Unknown keys are problems: a mistyped key
 * that is silently ignored costs an afternoon. Throws CONFIG_NOT_FOUND when `file` is given and missing.
 */
export function loadConfig<T>(
  file: string | undefined,
  schema: TObject,
  env: NodeJS.ProcessEnv = process.env,
): LoadedConfig<T> {
  if (file !== undefined && !existsSync(file)) throw new ImsdcError('CONFIG_NOT_FOUND', { file });
  const lines = new LineCounter();
  const source = file === undefined ? '' : readFileSync(file, 'utf8');
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: true });
  const name = file ?? '(defaults)';
  if (document.errors.length > 0) {
    return {
      config: {} as T,
      problems: document.errors.map((error) => ({
        file: name,
        line: error.linePos?.[0].line ?? 0,
        key: '',
        problem: error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, ''),
      })),
    };
  }
  const problems: ConfigProblem[] = [];
  const value = (document.toJS() ?? {}) as Record<string, unknown>;
  const overridden = applyEnvironment(value, env, problems);
  const validate = new Ajv({ allErrors: true, useDefaults: true, strict: false }).compile(closed(schema));
  if (!validate(value)) {
    for (const error of validate.errors ?? []) {
      const path = pathOf(error);
      problems.push({
        file: overridden.has(path.join('.')) ? `environment ${ENV_PREFIX}${path.join('__')}` : name,
        line: overridden.has(path.join('.')) ? 0 : lineOf(document, lines, path),
        key: path.join('.'),
        problem: explain(error),
      });
    }
  }
  return { config: value as T, problems };
}

/** As `loadConfig`, but the first problem is thrown as CONFIG_INVALID: for processes that are about to start. */
export function requireConfig<T>(file: string | undefined, schema: TObject): T {
  const { config, problems } = loadConfig<T>(file, schema);
  const first = problems[0];
  if (first) throw new ImsdcError('CONFIG_INVALID', { ...first, more: problems.length - 1 });
  return deepFreeze(config);
}

function applyEnvironment(
  target: Record<string, unknown>,
  env: NodeJS.ProcessEnv,
  problems: ConfigProblem[],
): ReadonlySet<string> {
  const overridden = new Set<string>();
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || text === undefined) continue;
    const path = name.slice(ENV_PREFIX.length).split('__');
    const parsed = parseDocument(text);
    if (parsed.errors.length > 0 || path.some((key) => key === '' || key === '__proto__')) {
      problems.push({ file: `environment ${name}`, line: 0, key: path.join('.'), problem: 'cannot be read as YAML' });
      continue;
    }
    let at = target;
    for (const key of path.slice(0, -1)) {
      const next = at[key];
      at = (typeof next === 'object' && next !== null ? next : (at[key] = {})) as Record<string, unknown>;
    }
    at[path.at(-1)!] = parsed.toJS();
    overridden.add(path.join('.'));
  }
  return overridden;
}

/** The schema with every object closed, so that unknown keys are errors. Rooms need not remember to say it. */
function closed(schema: unknown): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(schema, (_key, value) =>
      value && typeof value === 'object' && 'properties' in value && value.type === 'object'
        ? { additionalProperties: false, ...value }
        : value,
    ),
  );
}

function pathOf(error: ErrorObject): string[] {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const extra = error.params as { additionalProperty?: string; missingProperty?: string };
  const last = extra.additionalProperty ?? extra.missingProperty;
  return last === undefined ? path : [...path, last];
}

function explain(error: ErrorObject): string {
  if (error.keyword === 'additionalProperties') return 'is not a known key';
  if (error.keyword === 'required') return 'is missing';
  if (error.keyword === 'enum') return `must be one of ${(error.params.allowedValues as unknown[]).join(', ')}`;
  return error.message ?? 'is not valid';
}

/** The line of the deepest part of `path` that the file has. */
function lineOf(document: Document, lines: LineCounter, path: readonly string[]): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const parent = document.getIn(path.slice(0, depth - 1), true);
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === path[depth - 1]) : undefined;
    const node = pair?.key ?? document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
