import pino, { type Logger } from 'pino';

export type { Logger };

/** One logger per process; rooms take a child with their name. JSON lines on stderr, so that stdout stays for results. */
export function createLogger(options: { level?: string; name: string }): Logger {
  return pino({ level: options.level ?? process.env.IMSDC_LOG ?? 'info', name: options.name }, pino.destination(2));
}

/** A logger that says nothing, for tests and tools. */
export const silentLogger: Logger = pino({ level: 'silent' });
