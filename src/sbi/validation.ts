import { Ajv, type ValidateFunction } from 'ajv';
import { invalidBody } from './problem.ts';

/**
 * How all SBI bodies are validated (network-side.md 3.6): open objects, nothing coerced, nothing defaulted (a default
 * of maxRetry 0 would turn a reliable channel into a lossy one), patterns without the `u` flag (the 3GPP files use
 * escapes that it forbids), and the first error only: a hostile body must not cost us a list of all its faults.
 */
export const AJV_OPTIONS = {
  strict: false,
  useDefaults: false,
  coerceTypes: false,
  removeAdditional: false,
  allErrors: false,
  unicodeRegExp: false,
} as const;

const ajv = new Ajv(AJV_OPTIONS);
const compiled = new WeakMap<object, ValidateFunction>();

/** Throws 400 ProblemDetails (`SbiProblem`) unless `value` fits `schema`. Schemas are compiled once. */
export function requireValid<T>(schema: object, value: unknown): asserts value is T {
  let validate = compiled.get(schema);
  if (!validate) compiled.set(schema, (validate = ajv.compile(schema)));
  if (!validate(value)) throw invalidBody(validate.errors);
}
