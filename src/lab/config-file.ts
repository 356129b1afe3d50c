import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';

export const LOOPBACK = '127.0.0.1';
export const HOME_DOMAIN = 'ims.lab';
export const ALICE = { identity: 'sip:alice@ims.lab', tel: 'tel:+4930100001' } as const;
export const BOB = { identity: 'sip:bob@ims.lab', tel: 'tel:+4930100002' } as const;

/** The sample applications and how the lab's policy carries their channels between two UEs. */
export const APPLICATIONS = [
  { applicationId: '10000001', folder: 'hello', anchor: 'none' },
  { applicationId: '10000005', folder: 'doodle', anchor: 'e2DCe' },
  { applicationId: '10000006', folder: 'tap-menu', anchor: 'e2e' },
] as const;

/** The customer-service menu: its channel ends at the DC AS of the lab (P2A). */
export const MENU_APPLICATION = '20000001';
/** Of nobody but this lab on loopback. */
export const DC_AS_SECRET = 'shared by the DCSF and the DC AS of the lab';

export interface LabFiles {
  readonly directory: string;
  readonly config: string;
  readonly repository: string;
}

/** Ports that two processes must know before either can bind them. */
export interface LabPorts {
  readonly applicationServer: number;
  readonly scscf: number;
  readonly mrm: number;
  /** Where the lab's DC AS takes channels; absent: the lab has none. */
  readonly dcAs?: number;
}

export interface LabConfigOptions {
  /** Where configuration, repository, logs and reports go. */
  readonly directory: string;
  /** The folder with the sample mini-apps. */
  readonly apps: string;
  readonly engine: 'auto' | 'embedded' | 'native';
  readonly ports: LabPorts;
  /** Replaces parts of the configuration, for tests of bad cases: merged deeply. */
  readonly overrides?: ConfigObject;
}

export interface ConfigObject {
  readonly [key: string]: unknown;
}

/** UDP ports for one lab: several labs (and tests) on one machine seldom meet, and the MF tries the next port if so. */
const MEDIA_PORTS = 1000;
const FIRST_MEDIA_PORT = 10_000;
const MEDIA_WINDOWS = 10;

/** Writes the lab's `imsdc.yaml`: free ports, sample applications seeded, one anchoring rule for each. */
export function writeLabConfig(options: LabConfigOptions): LabFiles {
  const directory = resolve(options.directory);
  const repository = join(directory, 'repository');
  const firstPort = FIRST_MEDIA_PORT + randomInt(MEDIA_WINDOWS) * MEDIA_PORTS;
  const config: ConfigObject = {
    instance: 'lab',
    log: { level: 'info' },
    admin: { dcsfPort: 0, dcarPort: 0, mfPort: 0 },
    imsAs: {
      listeners: [
        { transport: 'udp', address: LOOPBACK, port: options.ports.applicationServer },
        { transport: 'tcp', address: LOOPBACK, port: options.ports.applicationServer },
      ],
      // The picture of the call knows the functions by their UDP addresses.
      udpMtuBytes: 0,
      mf: { urls: [`http://${LOOPBACK}:${options.ports.mrm}`] },
    },
    dcsf: {
      policy: {
        applications: {
          rules: Object.fromEntries(APPLICATIONS.map(({ applicationId, anchor }) => [applicationId, { anchor }])),
        },
        ...(options.ports.dcAs !== undefined && {
          dcAs: {
            [MENU_APPLICATION]: { url: `ws://${LOOPBACK}:${options.ports.dcAs}/channels`, secret: DC_AS_SECRET },
          },
        }),
      },
    },
    dcar: {
      mdc1: { port: 0 },
      internal: { port: 0 },
      repository: {
        directory: repository,
        seed: ['root', ...APPLICATIONS.map(({ folder }) => folder)].map((folder) => join(options.apps, folder)),
      },
    },
    mf: {
      listen: { port: options.ports.mrm },
      engine: options.engine,
      workers: 1,
      media: { firstPort, lastPort: firstPort + MEDIA_PORTS - 1 },
    },
  };
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'imsdc.yaml');
  const text = stringify(merge(config, options.overrides ?? {}));
  writeFileSync(file, `# Written by \`imsdc lab\` at every start. To keep changes, copy it.\n${text}`);
  return { directory, config: file, repository };
}

function merge(base: ConfigObject, over: ConfigObject): ConfigObject {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = merged[key];
    merged[key] = isObject(old) && isObject(value) ? merge(old, value) : value;
  }
  return merged;
}

function isObject(value: unknown): value is ConfigObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
