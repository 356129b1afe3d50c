import { networkInterfaces } from 'node:os';

export const isUnspecified = (address: string) => address === '0.0.0.0' || address === '::';

/** Of this host, as it is now. */
export function isOwnAddress(address: string): boolean {
  if (address.startsWith('127.') || address === '::1') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address));
}
