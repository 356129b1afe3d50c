import { spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { pinned } from './ue.ts';

const ANSWER_WITHIN_MS = 10_000;

/** bencode, as rtpengine's control protocol wants it: strings and flat dictionaries are enough. */
function bencode(value: string | Record<string, string>): string {
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  const keys = Object.keys(value).sort();
  return `d${keys.map((key) => bencode(key) + bencode(value[key]!)).join('')}e`;
}

const sdp = (port: number) =>
  [
    ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
    ...[`m=audio ${port} RTP/AVP 0`, 'a=rtpmap:0 PCMU/8000', ''],
  ].join('\r\n');

/** Asks again until there is an answer: rtpengine answers a repeated cookie alike, and may still be starting. */
async function ask(socket: Socket, port: number, command: Record<string, string>): Promise<string> {
  const cookie = Math.random().toString(36).slice(2);
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }) as Promise<[Buffer]>;
  const send = () => socket.send(`${cookie} ${bencode(command)}`, port, '127.0.0.1');
  const again = setInterval(send, 100);
  send();
  try {
    const [reply] = await answer;
    return reply.toString();
  } finally {
    clearInterval(again);
  }
}

const portIn = (reply: string) => Number(/m=audio (\d+)/.exec(reply)?.[1]);

/** Debian's rtpengine without its kernel module. Undefined where it is not installed. */
export async function startRtpengine(cpu: number) {
  if (spawnSync('rtpengine', ['--version']).status !== 0) return undefined;
  return async (aPort: number, bPort: number) => {
    const control = createSocket('udp4').bind(0, '127.0.0.1');
    await once(control, 'listening');
    const ngPort = 22_000 + Math.floor(Math.random() * 5000);
    const command = pinned(
      cpu,
      'rtpengine',
      ...['--foreground', '--log-stderr', '--log-level=2', '--table=-1', '--num-threads=1'],
      ...['--interface=127.0.0.1', `--listen-ng=127.0.0.1:${ngPort}`, '--port-min=40000', '--port-max=40100'],
      `--pidfile=/tmp/imsdc-rtpengine-${ngPort}.pid`,
    );
    const child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'ignore'] });
    const call = { 'call-id': 'bench', 'from-tag': 'a', ICE: 'remove' };
    const offer = await ask(control, ngPort, { ...call, command: 'offer', sdp: sdp(aPort) });
    const answer = await ask(control, ngPort, { ...call, command: 'answer', 'to-tag': 'b', sdp: sdp(bPort) });
    control.close();
    // The offer's answer shows B where to send; the answer's shows A.
    if (!portIn(offer) || !portIn(answer)) throw new Error(`rtpengine answers ${answer}`);
    return {
      pid: child.pid!,
      port: portIn(answer),
      close: async () => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
    };
  };
}
