import type { AddressInfo } from 'node:net';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import type { DcarConfig } from './config.ts';
import { contentServer } from './content/server.ts';
import { GrantTable } from './grants.ts';
import { internalServer } from './internal.ts';
import { packageBytes } from './package/source.ts';
import { Repository } from './repository.ts';

export interface Dcar {
  /** Where MFs fetch content: `http://127.0.0.1:8090/bdc/v1/`, as `dcsf.mdc1.baseUrl` wants it. */
  readonly address: string;
  /** Where the DCSF sends grants, as `dcsf.grants.url` wants it. */
  readonly internalAddress: string;
  readonly repository: Repository;
  status(): { grants: number; applications: number };
  close(): Promise<void>;
}

const EXPIRY_INTERVAL_MS = 60_000;

/** The repository process: packages, MDC1 content, grants from the DCSF. */
export async function startDcar(
  config: DcarConfig,
  { log, metrics }: { log: Logger; metrics: Metrics },
): Promise<Dcar> {
  const repository = new Repository(config.repository.directory, config.limits);
  const grants = new GrantTable(config.limits.maxGrants, metrics);
  const mdc1 = contentServer(config.mdc1, { repository, grants, log, metrics });
  const internal = internalServer(config.internal, { grants, repository });
  const expiry = setInterval(() => grants.expire(Date.now()), EXPIRY_INTERVAL_MS).unref();
  const close = async () => {
    clearInterval(expiry);
    await Promise.all([mdc1.close(), internal.close()]);
    repository.close();
  };
  try {
    for (const path of config.repository.seed) await seed(repository, path, log);
    await mdc1.listen({ host: config.mdc1.host, port: config.mdc1.port });
    await internal.listen({ host: config.internal.host, port: config.internal.port });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    address: `${origin(mdc1.server.address() as AddressInfo, config.mdc1.tls ? 'https' : 'http')}/bdc/v1/`,
    internalAddress: `${origin(internal.server.address() as AddressInfo, 'http')}/`,
    repository,
    status: () => ({ grants: grants.size, applications: repository.newest().length }),
    close,
  };
}

/** A seed that cannot be published is reported; what is already there is still served. */
async function seed(repository: Repository, path: string, log: Logger): Promise<void> {
  try {
    const { applicationId, version, sha256 } = await repository.add(await packageBytes(path), path);
    log.info({ applicationId, version, sha256 }, 'published');
  } catch (error) {
    log.error({ err: error, path }, 'not published');
  }
}

function origin({ address, family, port }: AddressInfo, scheme: string): string {
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
