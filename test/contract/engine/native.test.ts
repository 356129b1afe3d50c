import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { engineContract } from './suite.ts';

const built = join(import.meta.dirname, '../../../native/build/imsdc-media-worker');
const file = process.env.IMSDC_NATIVE_WORKER ?? built;

if (existsSync(file)) engineContract('native', { file, args: [] });
else test('engine contract: native', { skip: 'the native worker is not built' }, () => undefined);
