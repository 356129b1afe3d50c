import { chmodSync, closeSync, createWriteStream, openSync, type WriteStream } from 'node:fs';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { ImsdcError } from '../errors.ts';

/** Lines that a slow disk may be behind by; then they are dropped and counted. */
const MAX_BACKLOG_BYTES = 1 << 20;

/**
 * The secrets of every DTLS association in the NSS key log format, so that Wireshark decrypts (`tls.keylog_file`). Who
 * reads the file reads everything that UEs say: it is only for the owner's eyes, and the log says loudly that it exists.
 */
export class KeyLog {
  readonly #stream: WriteStream;
  readonly #closed: Promise<void>;

  /** Throws USAGE when the file cannot be written. */
  constructor(file: string, log: Logger, metrics: Metrics) {
    try {
      closeSync(openSync(file, 'a', 0o600));
      chmodSync(file, 0o600);
    } catch (error) {
      throw new ImsdcError('USAGE', { problem: `mf.keyLogFile ${file}: ${(error as Error).message}` });
    }
    log.warn(
      { file },
      'KEY LOG IS ON: the keys of all data channels are being written; whoever has them reads everything',
    );
    const failures = metrics.counter('imsdc_mf_key_log_lines_lost_total', 'lines of mf.keyLogFile not written');
    this.#stream = createWriteStream(file, { flags: 'a' });
    this.#closed = new Promise((resolve) => this.#stream.once('close', resolve));
    this.#stream.on('error', (error) => {
      failures.value++;
      log.error({ file, reason: error.message }, 'key log ends');
    });
    this.write = (line) => {
      if (this.#stream.writable && this.#stream.writableLength < MAX_BACKLOG_BYTES) this.#stream.write(`${line}\n`);
      else failures.value++;
    };
  }

  readonly write: (line: string) => void;

  close(): Promise<void> {
    this.#stream.end();
    return this.#closed;
  }
}
