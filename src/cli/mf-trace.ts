import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { readCommandLine, usage } from './command-line.ts';
import { ADMIN_HELP, ADMIN_OPTIONS, fetchPage } from './mf-admin.ts';

const HELP = `imsdc mf trace KEY FILE           every datagram of one association or flow, as a pcap file, until Ctrl-C

  KEY             as imsdc mf stats shows it: ctx#1
${ADMIN_HELP}

Addresses and ports are true, IP headers are made up. With mf.keyLogFile Wireshark decrypts what it captured:
  tshark -r FILE -o tls.keylog_file:KEYS -d udp.port==PORT,dtls
`;

/** `imsdc mf trace`. Ends at SIGINT, or when the association ends. Throws USAGE, MF_ADMIN. */
export async function mfTraceCommand(argv: string[], until: AbortSignal = interrupted()): Promise<number> {
  const line = readCommandLine(argv, { help: HELP, words: true, options: ADMIN_OPTIONS });
  if (line === undefined) return 0;
  const { values, positionals } = line;
  const [key, file, ...more] = positionals;
  if (file === undefined || key === undefined || more.length > 0) throw usage('imsdc mf trace KEY FILE');
  const { body } = await fetchPage('/trace', { key }, values, until);
  try {
    await pipeline(Readable.fromWeb(body as ReadableStream), createWriteStream(file));
  } catch (error) {
    if (!until.aborted) throw error;
  }
  return 0;
}

function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
