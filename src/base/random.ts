import { randomBytes } from 'node:crypto';
import { own } from './owned.ts';

const POOL_BYTES = 4096;

/** A source of random hex that asks the system for many bytes at once: a call for each tag costs more than its message. */
export function pooledRandomHex(): (bytes: number) => string {
  let pool = '';
  return (bytes) => {
    if (pool.length < bytes * 2) pool = randomBytes(Math.max(POOL_BYTES, bytes)).toString('hex');
    const text = own(pool.slice(0, bytes * 2));
    pool = pool.slice(bytes * 2);
    return text;
  };
}
