import type { Static } from 'typebox';
import { packageBytes } from '../dcar/package/source.ts';
import { type PublishedApplication, Repository } from '../dcar/repository.ts';
import { CONFIG_OPTION, configFile, readCommandLine, usage, type Write, writeOut } from './command-line.ts';

const HELP = `imsdc app add PACKAGE...            publish: a ZIP file, or a folder that is packed
imsdc app list [--all]              newest version of each application, or every version
imsdc app show APPID                one application with its versions
imsdc app remove APPID [VERSION]    withdraw one version, or all

Works on the repository directly, also while it is being served.

  --repository DIR   default: dcar.repository.directory of the configuration, with its limits
  --config FILE      default: imsdc.yaml, where it exists
  --json             one JSON line per application
`;

interface Options {
  readonly json: boolean;
  readonly all: boolean;
  readonly write: Write;
}

type Action = (repository: Repository, words: readonly string[], options: Options) => Promise<void>;

const ACTIONS: Readonly<Record<string, Action>> = { add, list, show, remove };

/** `imsdc app`. Throws USAGE, and the coded errors of the repository (DCAR_*). */
export async function appCommand(argv: string[], write: Write = writeOut): Promise<number> {
  const line = readCommandLine(argv, {
    help: HELP,
    words: true,
    write,
    options: {
      ...CONFIG_OPTION,
      repository: { type: 'string' },
      json: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
    },
  });
  if (line === undefined) return 0;
  const { values, positionals } = line;
  const [verb, ...words] = positionals;
  if (verb === undefined) {
    write(HELP);
    return 64;
  }
  const action = Object.hasOwn(ACTIONS, verb) ? ACTIONS[verb] : undefined;
  if (!action) throw usage(`there is no "imsdc app ${verb}"`);
  const repository = await opened(values.repository, values.config);
  try {
    await action(repository, words, { ...values, write });
  } finally {
    repository.close();
  }
  return 0;
}

/** A named repository needs no configuration, so that a mini-app developer needs none either. */
async function opened(directory: string | undefined, file: string | undefined): Promise<Repository> {
  if (directory !== undefined) return new Repository(directory);
  const { requireConfig } = await import('../config/load.ts');
  const { Config } = await import('../config/schema.ts');
  const { dcar } = requireConfig<Static<typeof Config>>(configFile(file), Config);
  return new Repository(dcar.repository.directory, dcar.limits);
}

async function add(repository: Repository, words: readonly string[], options: Options): Promise<void> {
  if (words.length === 0) throw usage('imsdc app add PACKAGE...');
  for (const path of words) print([await repository.add(await packageBytes(path), path)], options);
}

async function list(repository: Repository, words: readonly string[], options: Options): Promise<void> {
  if (words.length > 0) throw usage('imsdc app list takes no names');
  print(options.all ? repository.all() : repository.newest(), options);
}

async function show(repository: Repository, [appId, ...more]: readonly string[], options: Options): Promise<void> {
  if (appId === undefined || more.length > 0) throw usage('imsdc app show APPID');
  const versions = repository.versions(appId);
  if (options.json) return print(versions, options);
  const { icon, ...newest } = versions[0]!;
  const facts = {
    ...newest,
    icon: icon && `${icon.length} characters`,
    versions: versions.map(({ version }) => version),
  };
  const rows = Object.entries(facts).map(([key, value]) => [key, value === null ? '-' : String(value)]);
  options.write(table(rows));
}

async function remove(repository: Repository, words: readonly string[], options: Options): Promise<void> {
  const [appId, version, ...more] = words;
  if (appId === undefined || more.length > 0) throw usage('imsdc app remove APPID [VERSION]');
  print(await repository.remove(appId, version), options);
}

function print(applications: readonly PublishedApplication[], { json, write }: Options): void {
  if (json) {
    for (const application of applications) write(`${JSON.stringify(application)}\n`);
    return;
  }
  const rows = applications.map(({ applicationId, version, name, role, phase, sizeBytes, sha256 }) => [
    applicationId,
    version,
    name,
    role === 'root' ? 'root' : phase,
    `${sizeBytes} bytes`,
    sha256.slice(0, 12),
  ]);
  write(table(rows));
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))) ?? [];
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}
