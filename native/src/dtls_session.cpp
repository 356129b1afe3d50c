#include "dtls_session.h"

#include <openssl/err.h>

#include <sys/time.h>

#include "dtls_callbacks.h"

namespace imsdc {
namespace {

constexpr std::size_t kMaxContentBytes = 16'384;  // of a record

}  // namespace

DtlsSession::DtlsSession(DtlsContext& context, DtlsOwner& owner, DtlsRole role, const FingerprintSet& fingerprints)
    : context_(context), owner_(owner), fingerprints_(fingerprints), ssl_(SSL_new(context.get())) {
  SSL_set_app_data(ssl_.get(), this);
  BIO* bio = newDatagramBio(this);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes one reference for both
  DTLS_set_timer_cb(ssl_.get(), nextDtlsTimeoutUs);
  SSL_set_mtu(ssl_.get(), context.mtuBytes);
  SSL_set_max_send_fragment(ssl_.get(), 1536);  // sizes the write buffer: our records are never longer than a datagram
  if (role == DtlsRole::active) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

DtlsSession::~DtlsSession() { ERR_clear_error(); }

void DtlsSession::start() { advance(); }

void DtlsSession::startAfterCookie() {
  // OpenSSL counts messages: only after a HelloVerifyRequest of its own does it take a ClientHello with message_seq 1.
  // So it gets a placeholder for the ClientHello that was answered without memory, and its answer to that is dropped.
  SSL_set_options(ssl_.get(), SSL_OP_COOKIE_EXCHANGE);
  const std::vector<std::uint8_t> placeholder = placeholderClientHello();
  muted_ = true;
  incoming_ = placeholder;
  advance();
  muted_ = false;
}

void DtlsSession::receive(std::span<const std::uint8_t> datagram) {
  if (ended_) return;
  incoming_ = datagram;
  restoreBuffers();
  if (!connected_) {
    advance();
    if (!connected_ || ended_) return;
  }
  readContent();
}

void DtlsSession::advance() {
  if (ended_ || connected_) return;
  ERR_clear_error();
  const OSSL_HANDSHAKE_STATE before = SSL_get_state(ssl_.get());
  const int result = SSL_do_handshake(ssl_.get());
  if (!muted_ && SSL_get_state(ssl_.get()) != before && before != TLS_ST_BEFORE) heard_ = true;
  if (result == 1) {
    // RFC 7627: without it the keys are not bound to this handshake's certificates.
    if (SSL_get_extms_support(ssl_.get()) != 1) {
      end(DtlsEnd::failed, "the peer does not support the extended master secret");
      return;
    }
    connected_ = true;
    owner_.dtlsConnected();
    return;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  if (certificateRefused_) {
    end(DtlsEnd::fingerprintMismatch, "the certificate of the peer matches no fingerprint");
  } else {
    const std::string detail = takeOpensslErrors();
    end(DtlsEnd::failed, detail.empty() ? "DTLS handshake failed" : detail);
  }
}

void DtlsSession::readContent() {
  static std::array<std::uint8_t, kMaxContentBytes> buffer;  // content is dealt with before the next record is read
  while (!ended_) {
    const int length = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (length > 0) {
      owner_.dtlsContent({buffer.data(), static_cast<std::size_t>(length)});
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), length);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    if (error == SSL_ERROR_ZERO_RETURN) {
      end(DtlsEnd::closedByPeer, "close_notify");
    } else {
      const std::string detail = takeOpensslErrors();
      end(DtlsEnd::failed, detail.empty() ? "DTLS record layer failed" : detail);
    }
  }
}

bool DtlsSession::send(std::span<const std::uint8_t> packet) {
  if (!connected_ || ended_ || packet.empty()) return false;
  restoreBuffers();
  return SSL_write(ssl_.get(), packet.data(), static_cast<int>(packet.size())) > 0;
}

std::optional<std::uint32_t> DtlsSession::timeoutMs() const {
  timeval left{};
  if (ended_ || DTLSv1_get_timeout(ssl_.get(), &left) != 1) return std::nullopt;
  return static_cast<std::uint32_t>(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

void DtlsSession::onTimeout() {
  if (ended_) return;
  ERR_clear_error();
  restoreBuffers();
  // OpenSSL gives up after twelve retransmissions; how long a handshake may take is the owner's decision.
  if (DTLSv1_handle_timeout(ssl_.get()) < 0) end(DtlsEnd::failed, "no answer to the DTLS handshake");
}

void DtlsSession::close() {
  if (ended_ || !connected_) return;
  restoreBuffers();
  SSL_shutdown(ssl_.get());
  ended_ = true;
}

void DtlsSession::releaseBuffers() {
  if (buffersReleased_ || !connected_ || ended_) return;
  buffersReleased_ = SSL_free_buffers(ssl_.get()) == 1;
}

void DtlsSession::restoreBuffers() {
  if (!buffersReleased_) return;
  buffersReleased_ = SSL_alloc_buffers(ssl_.get()) != 1;
}

void DtlsSession::end(DtlsEnd reason, const std::string& detail) {
  ended_ = true;
  connected_ = false;
  owner_.dtlsEnded(reason, detail);
}

}  // namespace imsdc
