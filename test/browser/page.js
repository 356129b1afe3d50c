/**
 * The UE in the page: RTCPeerConnections by name, with SDP-negotiated channels (RFC 8864), as an IMS UE has them. Loaded
 * by the page as a plain script; the tests call these functions through the browser's debugging interface.
 */
const connections = new Map();

function peer(name, ids) {
  const pc = new RTCPeerConnection({ iceServers: [] });
  const ue = { pc, channels: new Map(), inbox: new Map(), waiting: new Map() };
  for (const id of ids) {
    const channel = pc.createDataChannel('', { negotiated: true, id, protocol: 'app' });
    channel.binaryType = 'arraybuffer';
    ue.channels.set(id, channel);
    ue.inbox.set(id, []);
    channel.onmessage = ({ data }) => {
      ue.inbox.get(id).push(data);
      ue.waiting.get(id)?.();
    };
  }
  connections.set(name, ue);
  return ue;
}

function gathered(pc) {
  return new Promise((resolve) => {
    const done = () => pc.iceGatheringState === 'complete' && resolve();
    pc.addEventListener('icegatheringstatechange', done);
    done();
  });
}

/** The offer of a new connection, once its candidates are known. */
globalThis.makeOffer = async (name, ids) => {
  const { pc } = peer(name, ids);
  await pc.setLocalDescription();
  await gathered(pc);
  return pc.localDescription.sdp;
};

/** The answer of a new connection to the network's offer. */
globalThis.makeAnswer = async (name, ids, sdp) => {
  const { pc } = peer(name, ids);
  await pc.setRemoteDescription({ type: 'offer', sdp });
  await pc.setLocalDescription();
  await gathered(pc);
  return pc.localDescription.sdp;
};

globalThis.takeAnswer = (name, sdp) => connections.get(name).pc.setRemoteDescription({ type: 'answer', sdp });

/** Resolves when all channels are open: how many channels the association has room for, and the largest message. */
globalThis.allOpen = async (name) => {
  const { pc, channels } = connections.get(name);
  for (const channel of channels.values()) {
    if (channel.readyState === 'open') continue;
    await new Promise((resolve, reject) => {
      channel.onopen = resolve;
      channel.onerror = ({ error }) => reject(error);
    });
    channel.onerror = null;
  }
  return { maxChannels: pc.sctp.maxChannels, maxMessageSize: pc.sctp.maxMessageSize };
};

const hex = (digest) => [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const bytesOf = (data) => (typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data));

async function facts(data) {
  const bytes = bytesOf(data);
  const hash = hex(await crypto.subtle.digest('SHA-256', bytes));
  return { kind: typeof data === 'string' ? 'text' : 'binary', length: bytes.length, hash };
}

/** Sends one message of so many bytes; resolves with what was sent, or with the name of the error. */
globalThis.sendMessage = async (name, id, kind, length) => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  const data = kind === 'text' ? new TextDecoder().decode(bytes.map((byte) => 32 + (byte % 95))) : bytes.buffer;
  try {
    connections.get(name).channels.get(id).send(data);
  } catch (error) {
    return { error: error.name };
  }
  return facts(data);
};

/** The next message that has arrived or will. */
globalThis.nextMessage = async (name, id) => {
  const { inbox, waiting } = connections.get(name);
  const queue = inbox.get(id);
  while (queue.length === 0) await new Promise((resolve) => waiting.set(id, resolve));
  return facts(queue.shift());
};

globalThis.closeChannel = (name, id) => connections.get(name).channels.get(id).close();

globalThis.channelClosed = (name, id) =>
  new Promise((resolve) => {
    const channel = connections.get(name).channels.get(id);
    if (channel.readyState === 'closed') resolve();
    else channel.onclose = () => resolve();
  });

/** Resolves once the connection has failed. */
globalThis.connectionFailed = (name) =>
  new Promise((resolve) => {
    const { pc } = connections.get(name);
    const look = () => pc.connectionState === 'failed' && resolve();
    pc.onconnectionstatechange = look;
    look();
  });

globalThis.closeConnection = (name) => {
  connections.get(name).pc.close();
  connections.delete(name);
};
