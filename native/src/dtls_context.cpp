#include "dtls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "dtls_callbacks.h"
#include "fingerprint.h"

namespace imsdc {
namespace {

using Bio = std::unique_ptr<BIO, Deleter<BIO, BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;

/** Forward secrecy and authenticated encryption only. RSA: the certificate of a peer may have an RSA key. */
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kGroups = "X25519:P-256:P-384";

Bio memory(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

}  // namespace

std::uint32_t RetransmissionSchedule::intervalMs(std::size_t number) const {
  if (number >= afterMs.size()) return std::max(repeatMs, 1U);
  const std::uint32_t before = number == 0 ? 0 : afterMs[number - 1];
  return afterMs[number] > before ? afterMs[number] - before : 1;
}

std::string takeOpensslErrors() {
  std::string text;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (!text.empty()) text += "; ";
    text += reason != nullptr ? reason : "error " + std::to_string(code);
  }
  return text;
}

std::unique_ptr<DtlsContext> DtlsContext::create(std::string_view certificatePem, std::string_view keyPem,
                                                 std::string& error) {
  std::unique_ptr<DtlsContext> result(new DtlsContext);
  result->context_.reset(SSL_CTX_new_ex(result->library(), nullptr, DTLS_method()));
  SSL_CTX* context = result->context_.get();
  const Certificate certificate(PEM_read_bio_X509(memory(certificatePem).get(), nullptr, nullptr, nullptr));
  const Key key(PEM_read_bio_PrivateKey(memory(keyPem).get(), nullptr, nullptr, nullptr));
  const bool usable = context != nullptr && certificate != nullptr && key != nullptr &&
                      SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
                      SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1 &&
                      SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_cipher_list(context, kCiphers) == 1 && SSL_CTX_set1_groups_list(context, kGroups) == 1;
  if (!usable) {
    error = takeOpensslErrors();
    return nullptr;
  }
  result->fingerprint_ = fingerprintOf(certificate.get());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // DTLS: a datagram is read whole
  SSL_CTX_set_app_data(context, result.get());
  installDtlsCallbacks(context);
  return result;
}

}  // namespace imsdc
