import { reportReady } from '../../../src/base/supervisor.ts';

const life = setInterval(() => undefined, 60_000);
reportReady({}, async () => clearInterval(life));
