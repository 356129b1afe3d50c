import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { ImsdcError } from '../errors.ts';
import { type Manifest, readManifest } from './package/manifest.ts';
import { compareVersions } from './package/version.ts';
import { DEFAULT_LIMITS, type PackageLimits, readZip } from './package/zip-read.ts';

/** One version of an application, as published. Never changes. */
export interface PublishedApplication extends Manifest {
  /** Lower-case hex; also the name of the package file. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly addedAtMs: number;
}

interface Row {
  readonly application_id: string;
  readonly version: string;
  readonly sha256: string;
  readonly size_bytes: number;
  readonly manifest: string;
  readonly added_at_ms: number;
  readonly withdrawn: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS package (
    application_id TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    added_at_ms INTEGER NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (application_id, version)
  ) STRICT;
  PRAGMA user_version = 1;`;

/** Packages kept in memory, newest use last. */
const CACHE_BYTES = 64 << 20;
/** How long one process waits while another writes. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * The application repository on disk: an SQLite index and one file per package, named by its SHA-256. A version is
 * immutable: withdrawn it may be, changed never. Several processes may have it open (the `imsdc app` command beside
 * the running repository process): SQLite keeps the index consistent, and files appear before their row.
 */
export class Repository {
  readonly directory: string;
  readonly #database: DatabaseSync;
  readonly #limits: PackageLimits;
  readonly #selectPublished: StatementSync;
  readonly #selectOne: StatementSync;
  readonly #dataVersion: StatementSync;
  #published: { readonly dataVersion: number; readonly applications: readonly PublishedApplication[] } | undefined;
  readonly #cache = new Map<string, Buffer>();
  #cachedBytes = 0;

  /** Opens or creates. Throws DCAR_REPOSITORY when the directory or the index cannot be used. */
  constructor(directory: string, limits: PackageLimits = DEFAULT_LIMITS) {
    this.directory = directory;
    this.#limits = limits;
    try {
      mkdirSync(join(directory, 'packages'), { recursive: true, mode: 0o750 });
      this.#database = new DatabaseSync(join(directory, 'index.sqlite'));
      this.#database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL;`);
      const found = this.#database.prepare('PRAGMA user_version').get() as { user_version: number };
      if (found.user_version > 1) throw new Error(`made by a later release (schema ${found.user_version})`);
      if (found.user_version === 0) this.#database.exec(SCHEMA);
    } catch (cause) {
      throw new ImsdcError('DCAR_REPOSITORY', { directory, problem: (cause as Error).message }, { cause });
    }
    // Changes when another connection commits; our own writes drop #published themselves.
    this.#dataVersion = this.#database.prepare('PRAGMA data_version');
    this.#selectPublished = this.#database.prepare('SELECT * FROM package WHERE withdrawn = 0');
    this.#selectOne = this.#database.prepare('SELECT * FROM package WHERE application_id = ? AND version = ?');
  }

  /**
   * Validates and publishes a package. The same content again is no error. Throws DCAR_PACKAGE_INVALID,
   * DCAR_APPLICATION_ID, DCAR_VERSION_EXISTS. `source` names the package in errors.
   */
  async add(zip: Buffer, source: string, nowMs = Date.now()): Promise<PublishedApplication> {
    const manifest = readManifest(await readZip(zip, source, this.#limits), source);
    const sha256 = createHash('sha256').update(zip).digest('hex');
    const { applicationId, version } = manifest;
    const refuseOther = () => {
      const known = this.#selectOne.get(applicationId, version) as unknown as Row | undefined;
      if (known && known.sha256 !== sha256) throw new ImsdcError('DCAR_VERSION_EXISTS', { applicationId, version });
    };
    refuseOther();
    await this.#store(sha256, zip);
    this.#database
      .prepare(
        `INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, 0)
         ON CONFLICT (application_id, version) DO UPDATE SET withdrawn = 0 WHERE sha256 = excluded.sha256`,
      )
      .run(applicationId, version, sha256, zip.length, JSON.stringify(manifest), nowMs);
    this.#published = undefined;
    refuseOther(); // another process may have been faster
    return published(this.#selectOne.get(applicationId, version) as unknown as Row);
  }

  /** Newest published version of each application, ordered by id; root mini-apps too. */
  newest(): PublishedApplication[] {
    const byId = new Map<string, PublishedApplication>();
    for (const application of this.all()) {
      const other = byId.get(application.applicationId);
      if (!other || compareVersions(application.version, other.version) > 0) {
        byId.set(application.applicationId, application);
      }
    }
    return [...byId.values()].sort((a, b) => compareIds(a.applicationId, b.applicationId));
  }

  /** Every published version. Read anew only when this or another process has written. */
  all(): readonly PublishedApplication[] {
    const { data_version } = this.#dataVersion.get() as { data_version: number };
    if (this.#published?.dataVersion !== data_version) {
      const rows = this.#selectPublished.all() as unknown as Row[];
      this.#published = { dataVersion: data_version, applications: rows.map(published) };
    }
    return this.#published.applications;
  }

  /** Newest version first. Throws DCAR_NOT_FOUND. */
  versions(applicationId: string): PublishedApplication[] {
    const versions = this.all().filter((application) => application.applicationId === applicationId);
    if (versions.length === 0) throw new ImsdcError('DCAR_NOT_FOUND', { applicationId, directory: this.directory });
    return versions.sort((a, b) => compareVersions(b.version, a.version));
  }

  /** Withdraws all versions, or one. Its number stays taken: it must never mean other content. Throws DCAR_NOT_FOUND. */
  async remove(applicationId: string, version?: string): Promise<PublishedApplication[]> {
    const gone = this.versions(applicationId).filter((one) => version === undefined || one.version === version);
    if (gone.length === 0) {
      throw new ImsdcError('DCAR_NOT_FOUND', {
        applicationId: `${applicationId} ${version}`,
        directory: this.directory,
      });
    }
    const withdraw = this.#database.prepare(
      'UPDATE package SET withdrawn = 1 WHERE application_id = ? AND version = ?',
    );
    for (const one of gone) withdraw.run(one.applicationId, one.version);
    this.#published = undefined;
    const inUse = new Set(this.all().map(({ sha256 }) => sha256));
    for (const { sha256 } of gone) if (!inUse.has(sha256)) await rm(this.#path(sha256), { force: true });
    return gone;
  }

  /** The package bytes, checked against their hash when they come from disk. Throws DCAR_REPOSITORY. */
  async content(application: PublishedApplication): Promise<Buffer> {
    const { sha256 } = application;
    const cached = this.#cache.get(sha256);
    if (cached) {
      this.#cache.delete(sha256);
      this.#cache.set(sha256, cached);
      return cached;
    }
    const refuse = (problem: string, cause?: unknown) =>
      new ImsdcError(
        'DCAR_REPOSITORY',
        { directory: this.directory, problem: `package ${sha256}: ${problem}` },
        { cause },
      );
    const bytes = await readFile(this.#path(sha256)).catch((error: Error) => {
      throw refuse(error.message, error);
    });
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw refuse('the file was changed');
    this.#keep(sha256, bytes);
    return bytes;
  }

  close(): void {
    this.#database.close();
  }

  /** To a temporary name and renamed, so that no reader ever sees half a file; flushed, so that the row never lies. */
  async #store(sha256: string, zip: Buffer): Promise<void> {
    const temporary = `${this.#path(sha256)}.${randomBytes(6).toString('hex')}`;
    try {
      const file = await open(temporary, 'wx', 0o640);
      try {
        await file.writeFile(zip);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path(sha256));
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new ImsdcError(
        'DCAR_REPOSITORY',
        { directory: this.directory, problem: (cause as Error).message },
        { cause },
      );
    }
  }

  #keep(sha256: string, bytes: Buffer): void {
    if (bytes.length > CACHE_BYTES) return;
    if (!this.#cache.has(sha256)) this.#cachedBytes += bytes.length;
    this.#cache.set(sha256, bytes);
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cachedBytes <= CACHE_BYTES) break;
      this.#cache.delete(oldest);
      this.#cachedBytes -= length;
    }
  }

  #path(sha256: string): string {
    return join(this.directory, 'packages', `${sha256}.zip`);
  }
}

function published(row: Row): PublishedApplication {
  const manifest = JSON.parse(row.manifest) as Manifest;
  return { ...manifest, sha256: row.sha256, sizeBytes: row.size_bytes, addedAtMs: row.added_at_ms };
}

function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
