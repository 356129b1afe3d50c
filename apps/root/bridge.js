// The JavaScript bridge of handsets whose application list is a mini-app of its own. Calls wait in a queue; the page
// rings by loading brg://__QUEUE_MESSAGE__/ in a frame, the handset takes the queue and answers through
// WebViewJavascriptBridge._handleMessageFromNative. The handset does not inject this object: the page brings it.
(() => {
  const SCHEME = 'brg://';
  const queue = [];
  const answers = new Map();
  const handlers = new Map();
  const bell = document.createElement('iframe');
  bell.hidden = true;
  document.documentElement.append(bell);
  let serial = 0;

  function post(message) {
    queue.push(message);
    bell.src = SCHEME + '__QUEUE_MESSAGE__/';
  }

  window.WebViewJavascriptBridge = {
    _fetchQueue() {
      const messages = JSON.stringify(queue.splice(0));
      bell.src = SCHEME + 'return/_fetchQueue/' + encodeURIComponent(messages);
      return messages;
    },
    _handleMessageFromNative(text) {
      const message = typeof text === 'string' ? JSON.parse(text) : text;
      if (message.responseId) {
        answers.get(message.responseId)?.(message.responseData);
        answers.delete(message.responseId);
        return;
      }
      const answer = (responseData) => {
        if (message.callbackId) post({ responseId: message.callbackId, responseData });
      };
      handlers.get(message.handlerName)?.(message.data, answer);
    },
    registerHandler: (name, handler) => handlers.set(name, handler),
    callHandler(handlerName, data, answer) {
      const callbackId = 'cb_' + ++serial;
      answers.set(callbackId, answer);
      post({ handlerName, data, callbackId });
    },
  };

  const token = new URLSearchParams(location.search).get('token') ?? '';
  /** Calls the handset; resolves with its answer, parsed. Every call carries the token that the page was opened with. */
  window.call = (name, data) =>
    new Promise((resolve) => {
      const body = JSON.stringify({ token, ...data });
      WebViewJavascriptBridge.callHandler(name, body, (answer) =>
        resolve(typeof answer === 'string' ? JSON.parse(answer) : answer),
      );
    });
})();
