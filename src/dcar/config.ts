import Type, { type Static } from 'typebox';
import { SbiTls } from '../sbi/tls.ts';

const nested = { default: {} };

/** The `dcar` part of the configuration. */
export const DcarConfig = Type.Object({
  mdc1: Type.Object(
    {
      host: Type.String({ default: '127.0.0.1', description: 'address that MFs fetch content from' }),
      port: Type.Integer({ default: 8090, minimum: 0, maximum: 65535, description: '0 = any free port' }),
      tls: Type.Optional(SbiTls),
      maxConnections: Type.Integer({ default: 1024, minimum: 1, description: 'MF connections at once' }),
    },
    nested,
  ),
  internal: Type.Object(
    {
      host: Type.String({ default: '127.0.0.1', description: 'loopback address of the interface towards the DCSF' }),
      port: Type.Integer({ default: 8091, minimum: 0, maximum: 65535, description: '0 = any free port' }),
      secret: Type.String({ default: '', description: 'shared with dcsf.grants.secret; at least 16 characters' }),
    },
    nested,
  ),
  repository: Type.Object(
    {
      directory: Type.String({ default: 'data/repository', description: 'index and packages' }),
      seed: Type.Array(Type.String(), {
        default: [],
        description: 'ZIP files or folders that are published at start unless they are already',
      }),
    },
    nested,
  ),
  limits: Type.Object(
    {
      maxPackageBytes: Type.Integer({ default: 16 << 20, minimum: 1024, description: 'a package, packed' }),
      maxUnpackedBytes: Type.Integer({ default: 64 << 20, minimum: 1024, description: 'a package, unpacked' }),
      maxEntries: Type.Integer({ default: 2000, minimum: 2, maximum: 65535, description: 'files in a package' }),
      maxRatio: Type.Integer({ default: 200, minimum: 1, description: 'unpacked by packed size of one large file' }),
      maxGrants: Type.Integer({ default: 200_000, minimum: 1, description: 'live tokens' }),
    },
    nested,
  ),
});
export type DcarConfig = Static<typeof DcarConfig>;
