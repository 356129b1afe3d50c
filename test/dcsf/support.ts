import assert from 'node:assert/strict';
import { Ajv } from 'ajv';
import { DcsfConfig } from '../../src/dcsf/config.ts';

/** The configuration with defaults filled in, as the loader does it. */
export function configured(overrides: object = {}): DcsfConfig {
  const config = structuredClone(overrides) as DcsfConfig;
  const validate = new Ajv({ strict: false, useDefaults: true }).compile(DcsfConfig);
  assert.ok(validate(config), JSON.stringify(validate.errors));
  return config;
}
