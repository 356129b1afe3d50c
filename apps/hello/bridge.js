// The handset's JavaScript interface for a mini-app, in as few lines as it takes. The handset injects
// window._dsbridge.call(method, argument), which returns JSON text; it calls back through properties of window.
// The same file stands in every sample application: copy it into yours.
(() => {
  const listeners = new Map();
  let callbacks = 0;
  let announced = false;

  function native(method, argument) {
    const text = JSON.stringify(argument);
    const answer = window._dsbridge ? window._dsbridge.call(method, text) : window.prompt('_dsbridge=' + method, text);
    return JSON.parse(answer || '{}').data;
  }

  /** Calls a function of the handset; resolves with { code, message, data }. Code "0" is success. */
  function call(event, name, params = {}) {
    return new Promise((resolve) => {
      const callback = 'dscb' + callbacks++;
      window[callback] = (text) => {
        delete window[callback];
        resolve(typeof text === 'string' ? JSON.parse(text) : text);
      };
      const request = JSON.stringify({ event, function: name, params });
      native('async', { data: request, _dscbstub: callback });
    });
  }

  /** Hears an event of the handset, such as messageNotify. */
  function on(event, listener) {
    listeners.set(event, [...(listeners.get(event) || []), listener]);
    if (announced) return;
    announced = true;
    // After the page has registered what it wants to hear: the handset then sends what it has kept.
    setTimeout(() => native('_dsb.dsinit', { data: null }));
  }

  window._handleMessageFromNative = (message) => {
    const { method, callbackId, data } = typeof message === 'string' ? JSON.parse(message) : message;
    const [text] = JSON.parse(data || '[]');
    const value = typeof text === 'string' && text !== '' ? JSON.parse(text) : text;
    for (const listener of listeners.get(method) || []) listener(value);
    native('_dsb.returnValue', { data: { id: callbackId, complete: true, data: null } });
  };

  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  /** Origin (local, remote) is relative to each UE: the rest of the label names the channel. */
  const nameOf = (label) => label.split('_').slice(1).join('_');

  /**
   * A channel to the other person's instance of this application (use case 1, peer to peer). `name` has no "_".
   * `onOpen()`, `onMessage(text)` and `onClose()` are called as things happen; send(text) after onOpen.
   */
  function openChannel(appId, name, handlers) {
    const label = `local_${appId}_1_${name}`;
    let current = label;
    on('dataChannelNotify', ({ dcLabel, imsDCStatus }) => {
      if (nameOf(dcLabel) !== nameOf(label)) return;
      current = dcLabel;
      if (imsDCStatus === 1) handlers.onOpen?.();
      if (imsDCStatus === 3) handlers.onClose?.();
    });
    on('messageNotify', ({ dcLabel, message }) => {
      if (nameOf(dcLabel) === nameOf(label)) handlers.onMessage?.(decoder.decode(fromBase64(message)));
    });
    const description =
      `<DataChannelAppInfo><DataChannelApp appId="${appId}"><DataChannel dcId="${name}"><StreamId></StreamId>` +
      `<DcLabel>${label}</DcLabel><Subprotocol></Subprotocol><Ordered>1</Ordered><MaxRetr></MaxRetr><MaxTime></MaxTime>` +
      '<Priority></Priority><UseCase>1</UseCase><AutoAcceptDcSetup>1</AutoAcceptDcSetup><Bandwidth>500</Bandwidth>' +
      '<QosHint>loss=0.0002;latency=600</QosHint></DataChannel></DataChannelApp></DataChannelAppInfo>';
    const created = call('DcEvent', 'createAppDataChannel', {
      dcLabels: [label],
      DataChannelAppInfoXml: description,
    });
    return {
      created,
      send: (text) => call('DcEvent', 'sendData', { dcLabel: current, data: toBase64(encoder.encode(text)) }),
      close: () => call('DcEvent', 'closeAppDataChannel', { dcLabel: [current] }),
    };
  }

  window.imsdc = { call, on, openChannel };
})();
