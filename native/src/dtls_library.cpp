#include "dtls_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace imsdc {
namespace {

constexpr const char* kFilterName = "imsdc-dtls";

/** Algorithms of one operation, by the first of their names. */
struct Needed {
  int operation;
  std::array<std::string_view, 6> names;
  std::string_view property;  // unless empty, part of the properties
};

/** What a DTLS 1.2 handshake uses with the ciphers and groups of dtls_context.cpp and any certificate that fits them. */
constexpr std::array<Needed, 8> kNeeded{{
    {OSSL_OP_DIGEST, {"SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512"}, ""},  // also of RFC 8122 fingerprints
    {OSSL_OP_CIPHER, {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"}, ""},
    {OSSL_OP_MAC, {"HMAC"}, ""},
    {OSSL_OP_KDF, {"TLS1-PRF"}, ""},
    {OSSL_OP_KEYMGMT, {"EC", "RSA", "RSA-PSS", "ED25519", "ED448", "X25519"}, ""},
    {OSSL_OP_KEYEXCH, {"ECDH", "X25519"}, ""},
    {OSSL_OP_SIGNATURE, {"ECDSA", "RSA", "ED25519", "ED448"}, ""},
    // RFC 5280 4.1.2.7: how a certificate carries its key.
    {OSSL_OP_DECODER, {"EC", "RSA", "RSA-PSS", "ED25519", "ED448"}, "structure=SubjectPublicKeyInfo"},
}};

/** OpenSSL lists all names of an algorithm: `EC:id-ecPublicKey:1.2.840.10045.2.1`. */
bool isNeeded(const OSSL_ALGORITHM& algorithm, const Needed& needed) {
  const std::string_view names = algorithm.algorithm_names;
  const std::string_view properties = algorithm.property_definition;
  return std::find(needed.names.begin(), needed.names.end(), names.substr(0, names.find(':'))) != needed.names.end() &&
         properties.find(needed.property) != std::string_view::npos;
}

/** Whether openssl.cnf leaves the default provider in charge. */
bool isPlainHost() {
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  EVP_MD_free(EVP_MD_fetch(nullptr, "SHA2-256", nullptr));  // a first fetch loads what is loaded when nothing is named
  return OSSL_PROVIDER_available(nullptr, "default") == 1;
}

/** The default provider of the default context, and what we hand on of it. Made once: OpenSSL keeps the pointers. */
class Filter {
 public:
  static Filter& instance() {
    static Filter filter;
    return filter;
  }

  [[nodiscard]] OSSL_PROVIDER* source() const { return source_; }

  [[nodiscard]] const OSSL_ALGORITHM* query(int operation) const {
    for (std::size_t index = 0; index < kNeeded.size(); ++index) {
      if (kNeeded[index].operation == operation) return kept_[index].data();
    }
    return nullptr;
  }

 private:
  Filter() : source_(isPlainHost() ? OSSL_PROVIDER_load(nullptr, "default") : nullptr) {
    if (source_ == nullptr) return;
    for (std::size_t index = 0; index < kNeeded.size(); ++index) kept_[index] = algorithms(kNeeded[index]);
  }
  ~Filter() {
    if (source_ != nullptr) OSSL_PROVIDER_unload(source_);
  }

  [[nodiscard]] std::vector<OSSL_ALGORITHM> algorithms(const Needed& needed) const {
    std::vector<OSSL_ALGORITHM> kept;
    int noCache = 0;
    const OSSL_ALGORITHM* all = OSSL_PROVIDER_query_operation(source_, needed.operation, &noCache);
    for (; all != nullptr && all->algorithm_names != nullptr; ++all) {
      if (isNeeded(*all, needed)) kept.push_back(*all);
    }
    kept.push_back({});  // ends the list
    return kept;
  }

  OSSL_PROVIDER* source_;
  std::array<std::vector<OSSL_ALGORITHM>, kNeeded.size()> kept_;
};

// What OpenSSL calls.

/**
 * Random numbers are the default context's. Its generators cannot be handed on: OpenSSL 3.5 has them look for their
 * cipher in the provider that they were fetched from, and by its name.
 */
namespace generator {

constexpr unsigned int kStrengthBits = 256;
constexpr std::size_t kMaxRequestBytes = 1 << 16;

void* newContext(void*, void*, const OSSL_DISPATCH*) {
  static char stateless;
  return &stateless;
}
void freeContext(void*) {}
int instantiate(void*, unsigned int strength, int, const unsigned char*, std::size_t, const OSSL_PARAM*) {
  return strength <= kStrengthBits ? 1 : 0;
}
int uninstantiate(void*) { return 1; }
int enableLocking(void*) { return 1; }
int generate(void*, unsigned char* out, std::size_t bytes, unsigned int strength, int, const unsigned char*,
             std::size_t) {
  return RAND_bytes_ex(nullptr, out, bytes, strength);
}
int getParameters(void*, OSSL_PARAM* parameters) {
  OSSL_PARAM* const state = OSSL_PARAM_locate(parameters, OSSL_RAND_PARAM_STATE);
  OSSL_PARAM* const strength = OSSL_PARAM_locate(parameters, OSSL_RAND_PARAM_STRENGTH);
  OSSL_PARAM* const maxRequest = OSSL_PARAM_locate(parameters, OSSL_RAND_PARAM_MAX_REQUEST);
  const bool told = (state == nullptr || OSSL_PARAM_set_int(state, EVP_RAND_STATE_READY) == 1) &&
                    (strength == nullptr || OSSL_PARAM_set_uint(strength, kStrengthBits) == 1) &&
                    (maxRequest == nullptr || OSSL_PARAM_set_size_t(maxRequest, kMaxRequestBytes) == 1);
  return told ? 1 : 0;
}

const OSSL_ALGORITHM* algorithms() {
  static const std::array<OSSL_DISPATCH, 8> functions{
      {{OSSL_FUNC_RAND_NEWCTX, reinterpret_cast<void (*)()>(newContext)},
       {OSSL_FUNC_RAND_FREECTX, reinterpret_cast<void (*)()>(freeContext)},
       {OSSL_FUNC_RAND_INSTANTIATE, reinterpret_cast<void (*)()>(instantiate)},
       {OSSL_FUNC_RAND_UNINSTANTIATE, reinterpret_cast<void (*)()>(uninstantiate)},
       {OSSL_FUNC_RAND_GENERATE, reinterpret_cast<void (*)()>(generate)},
       {OSSL_FUNC_RAND_ENABLE_LOCKING, reinterpret_cast<void (*)()>(enableLocking)},
       {OSSL_FUNC_RAND_GET_CTX_PARAMS, reinterpret_cast<void (*)()>(getParameters)},
       {0, nullptr}}};
  // The name by which OpenSSL looks for its generator.
  static const std::array<OSSL_ALGORITHM, 2> all{
      {{"CTR-DRBG", "provider=imsdc-dtls", functions.data(), nullptr}, {nullptr, nullptr, nullptr, nullptr}}};
  return all.data();
}

}  // namespace generator

const OSSL_ALGORITHM* queryOperation(void*, int operation, int* noCache) {
  *noCache = 0;
  return operation == OSSL_OP_RAND ? generator::algorithms() : Filter::instance().query(operation);
}

/** The groups of the key exchange (TLS-GROUP). */
int getCapabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return OSSL_PROVIDER_get_capabilities(Filter::instance().source(), capability, callback, argument);
}

int initialise(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out, void** providerContext) {
  static const std::array<OSSL_DISPATCH, 3> functions{
      {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(queryOperation)},
       {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(getCapabilities)},
       {0, nullptr}}};
  *out = functions.data();
  // The algorithms are the default provider's and expect its context. No teardown: it stays the owner.
  *providerContext = OSSL_PROVIDER_get0_provider_ctx(Filter::instance().source());
  return 1;
}

}  // namespace

DtlsLibrary::DtlsLibrary() {
  // The filter comes first: it has OpenSSL read openssl.cnf.
  const bool wanted = Filter::instance().source() != nullptr && EVP_default_properties_is_fips_enabled(nullptr) != 1;
  if (wanted && !load()) {
    OSSL_LIB_CTX_free(library_);
    library_ = nullptr;
  }
  ERR_clear_error();
}

bool DtlsLibrary::load() {
  library_ = OSSL_LIB_CTX_new();
  if (library_ == nullptr || OSSL_PROVIDER_add_builtin(library_, kFilterName, initialise) != 1) return false;
  filter_ = OSSL_PROVIDER_load(library_, kFilterName);
  return filter_ != nullptr;
}

DtlsLibrary::~DtlsLibrary() {
  if (filter_ != nullptr) OSSL_PROVIDER_unload(filter_);
  OSSL_LIB_CTX_free(library_);
}

}  // namespace imsdc
