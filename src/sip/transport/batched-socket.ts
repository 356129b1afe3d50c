import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName } from 'node:util';
import type { EventLoopTurns } from '../../base/event-loop-turns.ts';
import type { Logger } from '../../base/log.ts';
import {
  type DatagramReader,
  type DatagramSocket,
  type DatagramSource,
  type OpenDatagramSocket,
  SOCKET_BUFFER_BYTES,
} from './datagram-socket.ts';
import type { LocalAddress } from './transport.ts';

/** native/addon/udp_batch.cpp, which says what each member is. */
interface UdpBatch {
  readonly port: number;
  readonly received: ArrayBuffer;
  readonly receivedInfo: ArrayBuffer;
  readonly outgoing: ArrayBuffer;
  readonly outgoingInfo: ArrayBuffer;
  send(count: number): number;
  parse(address: string, info: Int32Array): boolean;
  sourceOf(index: number): string;
  close(): void;
}
type UdpBatchConstructor = new (
  address: string,
  port: number,
  bufferBytes: number,
  onReadable: (count: number) => void,
) => UdpBatch;

/** As in udp_batch.cpp. */
const SLOT_BYTES = 65_536;
const OUTGOING_SLOTS = 128;
const INFO_WORDS = 9;
const [OFFSET, LENGTH, PORT, ADDRESS, ERRNO] = [0, 1, 2, 3, 8] as const;
const ADDRESS_WORDS = 5;
/** Addresses that are remembered, each way; an AS talks to a handful. */
const MAX_ADDRESSES = 4_096;

const { EAGAIN, EWOULDBLOCK, ENOBUFS } = constants.errno;
/** The kernel has no room: lost like any datagram, which is what SIP repeats over UDP for (RFC 3261 17). */
const FULL: ReadonlySet<number> = new Set([EAGAIN, EWOULDBLOCK, ENOBUFS]);

/** Where set-up builds it; the tests with sanitizers have theirs. */
const ADDON =
  process.env.IMSDC_UDP_ADDON ?? fileURLToPath(new URL('../../../native/build/imsdc-udp-batch.node', import.meta.url));

/** Opens sockets that read and write many datagrams at a time; undefined, and logged, where the addon has not been built. */
export function batchedSockets(turns: EventLoopTurns, log?: Logger): OpenDatagramSocket | undefined {
  let Batch: UdpBatchConstructor;
  try {
    ({ UdpBatch: Batch } = createRequire(import.meta.url)(ADDON) as { UdpBatch: UdpBatchConstructor });
  } catch (error) {
    // No compiler at set-up, or another system: node:dgram does the same, dearer.
    log?.info({ problem: (error as Error).message }, 'UDP: datagrams are taken one by one, the addon is not there');
    return undefined;
  }
  return (local, reader) => new BatchedDatagramSocket(Batch, turns, local, reader);
}

/** What is sent leaves at the end of the turn, in the order of `send`. */
class BatchedDatagramSocket implements DatagramSocket {
  readonly #Batch: UdpBatchConstructor;
  readonly #turns: EventLoopTurns;
  readonly #local: LocalAddress;
  readonly #reader: DatagramReader;
  #batch: UdpBatch | undefined;
  #received = Buffer.alloc(0);
  #receivedInfo = new Int32Array(0);
  #outgoing = Buffer.alloc(0);
  #outgoingInfo = new Int32Array(0);
  #usedBytes = 0;
  #onFailed: ((error: Error) => void)[] = [];
  readonly #targets = new Map<string, Int32Array>();
  readonly #sources = new Map<number, string>();

  constructor(Batch: UdpBatchConstructor, turns: EventLoopTurns, local: LocalAddress, reader: DatagramReader) {
    this.#Batch = Batch;
    this.#turns = turns;
    this.#local = local;
    this.#reader = reader;
  }

  async bind(): Promise<number> {
    const { address, port } = this.#local;
    let batch: UdpBatch;
    try {
      batch = new this.#Batch(address, port, SOCKET_BUFFER_BYTES, (count) => this.#readable(count));
    } catch (error) {
      throw new Error(`bind ${nameOf(Number((error as NodeJS.ErrnoException).code))} ${address}:${port}`);
    }
    this.#batch = batch;
    this.#received = Buffer.from(batch.received);
    this.#receivedInfo = new Int32Array(batch.receivedInfo);
    this.#outgoing = Buffer.from(batch.outgoing);
    this.#outgoingInfo = new Int32Array(batch.outgoingInfo);
    return batch.port;
  }

  #readable(count: number): void {
    this.#turns.arrived(count);
    for (let index = 0; index < count && this.#batch !== undefined; index++) {
      const info = index * INFO_WORDS;
      const start = index * SLOT_BYTES;
      const from: DatagramSource = { address: this.#sourceOf(index), port: this.#receivedInfo[info + PORT]! };
      try {
        this.#reader.received(this.#received.subarray(start, start + this.#receivedInfo[info + LENGTH]!), from);
      } catch (error) {
        // The others of this read are not to be lost with it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** IPv4 addresses are remembered as text; the others are written anew each time. */
  #sourceOf(index: number): string {
    if (this.#local.address.includes(':')) return this.#batch!.sourceOf(index);
    const word = this.#receivedInfo[index * INFO_WORDS + ADDRESS]!;
    let text = this.#sources.get(word);
    if (text === undefined) {
      if (this.#sources.size === MAX_ADDRESSES) this.#sources.clear();
      text = this.#batch!.sourceOf(index);
      this.#sources.set(word, text);
    }
    return text;
  }

  send(wire: string | Buffer, port: number, address: string, onFailed: (error: Error) => void): void {
    const target = this.#targetOf(address);
    if (this.#batch === undefined || target === undefined || wire.length > SLOT_BYTES) {
      queueMicrotask(() => onFailed(new Error(`a datagram of ${wire.length} bytes cannot go to ${address}:${port}`)));
      return;
    }
    if (this.#onFailed.length === OUTGOING_SLOTS || this.#usedBytes + wire.length > this.#outgoing.length)
      this.#flush();
    if (this.#onFailed.length === 0) this.#turns.atEnd(() => this.#flush());
    const info = this.#onFailed.length * INFO_WORDS;
    this.#outgoingInfo[info + OFFSET] = this.#usedBytes;
    this.#outgoingInfo[info + LENGTH] = wire.length;
    this.#outgoingInfo[info + PORT] = port;
    for (let word = 0; word < ADDRESS_WORDS; word++)
      this.#outgoingInfo[info + ADDRESS + word] = target[ADDRESS + word]!;
    if (typeof wire === 'string') this.#outgoing.write(wire, this.#usedBytes, 'latin1');
    else wire.copy(this.#outgoing, this.#usedBytes);
    this.#usedBytes += wire.length;
    this.#onFailed.push(onFailed);
  }

  /** Undefined: not an address of our family. */
  #targetOf(address: string): Int32Array | undefined {
    let target = this.#targets.get(address);
    if (target !== undefined) return target;
    target = new Int32Array(INFO_WORDS);
    if (this.#batch?.parse(address, target) !== true) return undefined;
    if (this.#targets.size === MAX_ADDRESSES) this.#targets.clear();
    this.#targets.set(address, target);
    return target;
  }

  #flush(): void {
    const waiting = this.#onFailed;
    if (this.#batch === undefined || waiting.length === 0) return;
    this.#onFailed = [];
    this.#usedBytes = 0;
    if (this.#batch.send(waiting.length) === 0) return;
    for (const [index, onFailed] of waiting.entries()) {
      const errno = this.#outgoingInfo[index * INFO_WORDS + ERRNO]!;
      if (FULL.has(errno)) this.#reader.trouble('backlogFull', `send: ${nameOf(errno)}`);
      else if (errno !== 0) queueMicrotask(() => onFailed(new Error(`send ${nameOf(errno)}`)));
    }
  }

  async close(): Promise<void> {
    this.#flush();
    this.#batch?.close();
    this.#batch = undefined;
  }
}

function nameOf(errno: number): string {
  return errno > 0 ? getSystemErrorName(-errno) : String(errno);
}
