#include "dtls_callbacks.h"

#include <algorithm>
#include <cstring>

#include "dtls_session.h"

namespace imsdc {

/** What OpenSSL calls; nothing may be thrown across it. */
struct DtlsCallbacks {
  static DtlsSession& sessionOf(const SSL* ssl) { return *static_cast<DtlsSession*>(SSL_get_app_data(ssl)); }

  /** RFC 8122 5: self-signed is fine, what counts is the fingerprint. Runs before the handshake can complete. */
  static int verifyCertificate(X509_STORE_CTX* store, void*) {
    const auto* ssl =
        static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    DtlsSession& session = sessionOf(ssl);
    if (session.fingerprints_.matches(X509_STORE_CTX_get0_cert(store))) {
      X509_STORE_CTX_set_error(store, X509_V_OK);
      return 1;
    }
    session.certificateRefused_ = true;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }

  /** The HelloVerifyRequest that this cookie is for answers our own placeholder and is never sent. */
  static int makeCookie(SSL*, unsigned char* cookie, unsigned int* length) {
    std::fill_n(cookie, CookieJar::kCookieBytes, static_cast<unsigned char>(0));
    *length = CookieJar::kCookieBytes;
    return 1;
  }

  /** The owner has checked the cookie of this ClientHello before it made the session. */
  static int checkCookie(SSL*, const unsigned char*, unsigned int) { return 1; }

  static unsigned int nextTimeoutUs(SSL* ssl, unsigned int previousUs) {
    DtlsSession& session = sessionOf(ssl);
    session.retransmissions_ = previousUs == 0 ? 0 : session.retransmissions_ + 1;
    return session.context_.schedule.intervalMs(session.retransmissions_) * 1000;
  }

  static void keyLog(const SSL* ssl, const char* line) {
    const DtlsContext& context = sessionOf(ssl).context_;
    if (context.onKeyLog) context.onKeyLog(line);
  }

  static int bioRead(BIO* bio, char* buffer, int size) {
    BIO_clear_retry_flags(bio);
    auto& session = *static_cast<DtlsSession*>(BIO_get_data(bio));
    if (session.incoming_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t length = std::min(session.incoming_.size(), static_cast<std::size_t>(size));
    std::memcpy(buffer, session.incoming_.data(), length);
    session.incoming_ = {};  // a datagram: what does not fit is gone
    return static_cast<int>(length);
  }

  static int bioWrite(BIO* bio, const char* buffer, int size) {
    auto& session = *static_cast<DtlsSession*>(BIO_get_data(bio));
    if (!session.muted_) {
      session.gather({reinterpret_cast<const std::uint8_t*>(buffer), static_cast<std::size_t>(size)});
    }
    return size;
  }

  static long bioControl(BIO*, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH:
      case BIO_CTRL_DUP:
        return 1;
      default:
        return 0;  // no MTU discovery, no time-outs of its own
    }
  }
};

void installDtlsCallbacks(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, DtlsCallbacks::verifyCertificate, nullptr);
  SSL_CTX_set_cookie_generate_cb(context, DtlsCallbacks::makeCookie);
  SSL_CTX_set_cookie_verify_cb(context, DtlsCallbacks::checkCookie);
  SSL_CTX_set_keylog_callback(context, DtlsCallbacks::keyLog);
}

BIO* newDatagramBio(void* session) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* created = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "imsdc datagram");
    BIO_meth_set_read(created, DtlsCallbacks::bioRead);
    BIO_meth_set_write(created, DtlsCallbacks::bioWrite);
    BIO_meth_set_ctrl(created, DtlsCallbacks::bioControl);
    return created;
  }();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, session);
  BIO_set_init(bio, 1);
  return bio;
}

unsigned int nextDtlsTimeoutUs(SSL* ssl, unsigned int previousUs) {
  return DtlsCallbacks::nextTimeoutUs(ssl, previousUs);
}

}  // namespace imsdc
