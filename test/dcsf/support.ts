import assert from 'node:assert/strict';
import { Ajv } from 'ajv';
import { DcsfConfig, type PlacedDcsfConfig } from '../../src/dcsf/config.ts';

/** The configuration with defaults filled in, as the loader does it. */
export function configured(overrides: object = {}): PlacedDcsfConfig {
  const mdc1 = { baseUrl: 'http://127.0.0.1:8090/bdc/v1/' };
  const config = structuredClone({ mdc1, ...overrides }) as PlacedDcsfConfig;
  const validate = new Ajv({ strict: false, useDefaults: true }).compile(DcsfConfig);
  assert.ok(validate(config), JSON.stringify(validate.errors));
  return config;
}
