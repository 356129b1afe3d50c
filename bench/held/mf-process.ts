import { grantingMf } from './granting.ts';

/** An MF that grants everything, as a process: DC2 is HTTP/2 over a socket, and its CPU is nobody else's. */
const mf = await grantingMf();
process.once('disconnect', () => process.exit());
process.send?.({ url: mf.origin });
