import Type, { type Static } from 'typebox';
import { DcarConfig } from '../dcar/config.ts';
import { DcsfConfig } from '../dcsf/config.ts';
import { ImsAsConfig } from '../ims-as/config.ts';
import { MfConfig } from '../mf/config.ts';
import { StateConfig } from '../store/config.ts';
import { Dc1Config } from './dc1.ts';

const nested = { default: {} };
const port = (description: string, fallback: number) =>
  Type.Integer({ default: fallback, minimum: 0, maximum: 65535, description });

/** The whole of `imsdc.yaml`. Every room brings its own part; `imsdc check --explain` prints all of it. */
export const Config = Type.Object({
  instance: Type.String({
    default: 'imsdc',
    pattern: '^[A-Za-z0-9-]{1,32}$',
    description: 'name of this installation; part of every identifier it mints (R21)',
  }),
  roles: Type.Array(Type.Union([Type.Literal('ims-as'), Type.Literal('dcsf'), Type.Literal('dcar')]), {
    default: ['ims-as', 'dcsf', 'dcar'],
    description: 'what `imsdc dcsf` starts',
  }),
  log: Type.Object(
    {
      level: Type.Union(
        ['trace', 'debug', 'info', 'warn', 'error', 'silent'].map((level) => Type.Literal(level)),
        { default: 'info', description: 'the environment variable IMSDC_LOG goes over it' },
      ),
    },
    nested,
  ),
  admin: Type.Object(
    {
      address: Type.String({
        default: '127.0.0.1',
        description: 'GET /status, /metrics, /healthz; asks nobody who they are',
      }),
      dcsfPort: port('0 = any free port', 9091),
      dcarPort: port('0 = any free port', 9092),
      mfPort: port('0 = any free port', 9093),
    },
    nested,
  ),
  state: Type.Object(StateConfig.properties, nested),
  dc1: Type.Object(Dc1Config.properties, nested),
  imsAs: Type.Object(ImsAsConfig.properties, nested),
  dcsf: Type.Object(DcsfConfig.properties, nested),
  dcar: Type.Object(DcarConfig.properties, nested),
  mf: Type.Object(MfConfig.properties, nested),
});
export type Config = Static<typeof Config>;
