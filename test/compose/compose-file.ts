import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

/** The clone. In the images it is the working directory, so relative paths mean the same here and there. */
export const ROOT = resolve(import.meta.dirname, '../..');

/** One service of docker/compose.yaml, as far as the lab uses the format. */
export interface Service {
  readonly name: string;
  /** Without the prefix of the lab. */
  readonly container: string;
  readonly image: string;
  /** Waits for `exec`; has no process of its own. */
  readonly idle: boolean;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly addresses: readonly { readonly network: string; readonly address: string }[];
  /** Program and arguments; succeeds when the service is well. */
  readonly healthcheck: readonly string[] | undefined;
  readonly dependsOn: readonly { readonly name: string; readonly condition: Condition }[];
}

export type Condition = 'service_healthy' | 'service_completed_successfully';

interface RawService {
  readonly container_name: string;
  readonly image: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: Readonly<Record<string, { readonly ipv4_address: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: Condition }>>;
}

/** Every container name of the lab begins so. */
export const PREFIX = 'imsdc-lab-';

export function readCompose(): { services: readonly Service[]; networks: readonly string[] } {
  const text = readFileSync(join(ROOT, 'docker/compose.yaml'), 'utf8');
  const file = parse(text, { merge: true }) as { services: Record<string, RawService>; networks: object };
  const services = Object.entries(file.services).map(([name, raw]) => ({
    name,
    container: raw.container_name.slice(PREFIX.length),
    image: raw.image,
    idle: raw.entrypoint?.[0] === 'tail',
    command: raw.command ?? [],
    environment: raw.environment ?? {},
    addresses: Object.entries(raw.networks ?? {}).map(([network, { ipv4_address: address }]) => ({ network, address })),
    // ["CMD", program, ...]; compose writes $ as $$.
    healthcheck: raw.healthcheck?.test.slice(1).map((word) => word.replaceAll('$$', '$')),
    dependsOn: Object.entries(raw.depends_on ?? {}).map(([other, { condition }]) => ({ name: other, condition })),
  }));
  return { services, networks: Object.keys(file.networks) };
}
