#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client_hello.h"
#include "dtls_library.h"

namespace imsdc {

template <typename Type, void (*Free)(Type*)>
struct Deleter {
  void operator()(Type* value) const { Free(value); }
};
using SslContext = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX, SSL_CTX_free>>;

/** When an unanswered flight goes out again (R5): at `afterMs` since it was first sent, then every `repeatMs`. */
struct RetransmissionSchedule {
  std::vector<std::uint32_t> afterMs{250, 500, 1000, 2000};
  std::uint32_t repeatMs = 4000;
  /** Wait before retransmission `number` (0: the first). */
  [[nodiscard]] std::uint32_t intervalMs(std::size_t number) const;
};

/** What all DTLS sessions of a worker share: certificate, parameters, cookie secret. */
class DtlsContext {
 public:
  /** Nothing when certificate and key cannot be used; `error` says why. */
  static std::unique_ptr<DtlsContext> create(std::string_view certificatePem, std::string_view keyPem,
                                             std::string& error);

  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }
  [[nodiscard]] OSSL_LIB_CTX* library() const { return library_.get(); }
  /** `sha-256 AA:BB:..` of our certificate. */
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] const CookieJar& cookies() const { return cookies_; }

  RetransmissionSchedule schedule;
  /** Largest datagram. */
  std::uint16_t mtuBytes = 1200;
  /** Lines in the NSS key log format; unset: no key leaves OpenSSL. */
  std::function<void(std::string_view line)> onKeyLog;

 private:
  DtlsContext() = default;
  DtlsLibrary library_;  // outlives what was made in it
  SslContext context_;
  std::string fingerprint_;
  CookieJar cookies_;
};

/** The reasons in OpenSSL's error queue, which is emptied. */
std::string takeOpensslErrors();

}  // namespace imsdc
