import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCa, issue, type PemPair } from '../../../src/pki/lab-ca.ts';
import type { SipTlsConfig } from '../../../src/sip/transport/index.ts';

/** A CA and the PEM files of what it certifies, in a folder of their own. */
export class TestCa {
  readonly folder = mkdtempSync(join(tmpdir(), 'imsdc-sip-tls-'));
  readonly caFile = join(this.folder, 'ca.pem');
  readonly #ca: PemPair;

  private constructor(ca: PemPair) {
    this.#ca = ca;
    writeFileSync(this.caFile, ca.certificatePem);
  }

  static async create(): Promise<TestCa> {
    return new TestCa(await createCa({ commonName: 'SIP test CA', validityDays: 2, nowMs: Date.now() }));
  }

  async issue(names: readonly string[], options: Partial<SipTlsConfig> = {}): Promise<SipTlsConfig> {
    const pair = await issue(this.#ca, { names, validityDays: 2, nowMs: Date.now() });
    const certFile = join(this.folder, `${names[0]}.pem`);
    const keyFile = join(this.folder, `${names[0]}.key`);
    writeFileSync(certFile, pair.certificatePem);
    writeFileSync(keyFile, pair.privateKeyPem);
    return { certFile, keyFile, caFile: this.caFile, ...options };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
