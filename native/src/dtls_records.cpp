#include "dtls_records.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

namespace imsdc {
namespace {

constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kMaxMasterKey = 48;
constexpr std::size_t kExplicitNonceBytes = 8;
constexpr std::size_t kSaltBytes = 4;
constexpr std::size_t kAdditionalDataBytes = 13;
/** RFC 6347 4.1: sequence numbers never wrap; with the next one a nonce would come twice. */
constexpr std::uint64_t kLastSequence = (std::uint64_t{1} << 48) - 1;

using Kdf = std::unique_ptr<EVP_KDF, Deleter<EVP_KDF, EVP_KDF_free>>;
using KdfContext = std::unique_ptr<EVP_KDF_CTX, Deleter<EVP_KDF_CTX, EVP_KDF_CTX_free>>;

/** Key material is wiped when it has been used. */
struct Secret {
  explicit Secret(std::size_t size) : bytes(size) {}
  ~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  std::vector<std::uint8_t> bytes;
};

/** RFC 5246 6.3: PRF(master_secret, "key expansion", server_random + client_random). */
bool deriveKeyBlock(SSL* ssl, Secret& block) {
  static const Kdf kdf(EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  const KdfContext context(EVP_KDF_CTX_new(kdf.get()));
  Secret master(kMaxMasterKey);
  const std::size_t masterBytes =
      SSL_SESSION_get_master_key(SSL_get_session(ssl), master.bytes.data(), master.bytes.size());
  std::vector<std::uint8_t> seed(2 * kRandomBytes);
  SSL_get_server_random(ssl, seed.data(), kRandomBytes);
  SSL_get_client_random(ssl, seed.data() + kRandomBytes, kRandomBytes);
  const EVP_MD* digest = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
  if (context == nullptr || digest == nullptr) return false;
  std::string digestName = EVP_MD_get0_name(digest);
  std::string label = "key expansion";
  const std::array<OSSL_PARAM, 5> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digestName.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.bytes.data(), masterBytes),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label.data(), label.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(), seed.size()), OSSL_PARAM_construct_end()};
  return EVP_KDF_derive(context.get(), block.bytes.data(), block.bytes.size(), parameters.data()) == 1;
}

void write16(std::uint8_t* at, std::size_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

/** RFC 6347 4.1.2.1 with RFC 5246 6.2.3.3: epoch and sequence, type, version, length of the content. */
std::array<std::uint8_t, kAdditionalDataBytes> additionalData(const std::uint8_t* header, std::size_t contentBytes) {
  std::array<std::uint8_t, kAdditionalDataBytes> data{};
  std::copy_n(header + 3, 8, data.begin());
  std::copy_n(header, 3, data.begin() + 8);
  write16(data.data() + 11, contentBytes);
  return data;
}

}  // namespace

std::optional<DtlsRecord> nextRecord(std::span<std::uint8_t>& datagram) {
  if (datagram.size() < DtlsRecords::kHeaderBytes) return std::nullopt;
  const std::size_t length = static_cast<std::size_t>(datagram[11] << 8 | datagram[12]);
  if (length + DtlsRecords::kHeaderBytes > datagram.size()) return std::nullopt;
  DtlsRecord record{};
  record.type = static_cast<RecordType>(datagram[0]);
  record.epoch = static_cast<std::uint16_t>(datagram[3] << 8 | datagram[4]);
  for (std::size_t index = 5; index < 11; ++index) record.sequence = record.sequence << 8 | datagram[index];
  record.bytes = datagram.first(DtlsRecords::kHeaderBytes + length);
  datagram = datagram.subspan(record.bytes.size());
  return record;
}

bool ReplayWindow::fresh(std::uint64_t sequence) const {
  if (sequence >= next_) return true;
  const std::uint64_t age = next_ - 1 - sequence;
  return age < 64 && (seen_ >> age & 1) == 0;
}

void ReplayWindow::mark(std::uint64_t sequence) {
  if (sequence >= next_) {
    const std::uint64_t shift = sequence + 1 - next_;
    seen_ = shift >= 64 ? 0 : seen_ << shift;
    next_ = sequence + 1;
  }
  seen_ |= std::uint64_t{1} << (next_ - 1 - sequence);
}

struct DtlsRecords::Suite {
  const EVP_CIPHER* cipher;
  std::size_t keyBytes;
  std::size_t ivBytes;  // from the key block
};

std::unique_ptr<DtlsRecords> DtlsRecords::take(SSL* ssl, bool client, std::uint64_t sent) {
  // Fetched once: an implicit fetch per connection takes locks and time.
  static EVP_CIPHER* const aes128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  static EVP_CIPHER* const aes256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  static EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  Suite suite{};
  switch (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl))) {
    case NID_aes_128_gcm:
      suite = {aes128, 16, kSaltBytes};
      break;
    case NID_aes_256_gcm:
      suite = {aes256, 32, kSaltBytes};
      break;
    case NID_chacha20_poly1305:
      suite = {chacha, 32, kNonceBytes};
      break;
    default:
      return nullptr;
  }
  Secret block(2 * (suite.keyBytes + suite.ivBytes));
  if (suite.cipher == nullptr || !deriveKeyBlock(ssl, block)) return nullptr;

  // RFC 5246 6.3 without MAC keys: client key, server key, client IV, server IV.
  const std::uint8_t* keys = block.bytes.data();
  const std::uint8_t* ivs = keys + 2 * suite.keyBytes;
  const std::size_t own = client ? 0 : 1;
  std::unique_ptr<DtlsRecords> records(new DtlsRecords);
  records->explicitNonceBytes_ = suite.ivBytes == kSaltBytes ? kExplicitNonceBytes : 0;
  records->nextSequence_ = sent;
  records->sealing_.reset(EVP_CIPHER_CTX_new());
  records->opening_.reset(EVP_CIPHER_CTX_new());
  std::copy_n(ivs + own * suite.ivBytes, suite.ivBytes, records->sealingIv_.begin());
  std::copy_n(ivs + (1 - own) * suite.ivBytes, suite.ivBytes, records->openingIv_.begin());
  const bool ready = EVP_EncryptInit_ex2(records->sealing_.get(), suite.cipher, keys + own * suite.keyBytes, nullptr,
                                         nullptr) == 1 &&
                     EVP_DecryptInit_ex2(records->opening_.get(), suite.cipher, keys + (1 - own) * suite.keyBytes,
                                         nullptr, nullptr) == 1;
  return ready ? std::move(records) : nullptr;
}

DtlsRecords::Nonce DtlsRecords::nonceFor(const Nonce& fixed, std::span<const std::uint8_t> varying) const {
  Nonce nonce = fixed;
  if (explicitNonceBytes_ > 0) {
    std::copy(varying.begin(), varying.end(), nonce.begin() + kSaltBytes);
  } else {
    for (std::size_t index = 0; index < varying.size(); ++index) nonce[4 + index] ^= varying[index];
  }
  return nonce;
}

std::size_t DtlsRecords::seal(RecordType type, std::span<const std::uint8_t> content, std::span<std::uint8_t> out) {
  const std::size_t fragment = explicitNonceBytes_ + content.size() + kTagBytes;
  if (out.size() < kHeaderBytes + fragment || nextSequence_ > kLastSequence) return 0;
  std::uint8_t* header = out.data();
  header[0] = static_cast<std::uint8_t>(type);
  header[1] = 0xfe;
  header[2] = 0xfd;
  header[3] = 0;
  header[4] = 1;
  for (std::size_t index = 0; index < 6; ++index) {
    header[5 + index] = static_cast<std::uint8_t>(nextSequence_ >> (40 - 8 * index));
  }
  ++nextSequence_;
  write16(header + 11, fragment);
  const std::span<const std::uint8_t> epochAndSequence = out.subspan(3, 8);
  // RFC 5288 3: the explicit part may be the sequence number, which never comes twice.
  std::copy_n(epochAndSequence.begin(), explicitNonceBytes_, out.begin() + kHeaderBytes);
  const Nonce nonce = nonceFor(sealingIv_, epochAndSequence);
  const auto extra = additionalData(header, content.size());
  std::uint8_t* body = header + kHeaderBytes + explicitNonceBytes_;
  int length = 0;
  EVP_CIPHER_CTX* context = sealing_.get();
  const bool sealed = EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) == 1 &&
                      EVP_EncryptUpdate(context, nullptr, &length, extra.data(), extra.size()) == 1 &&
                      EVP_EncryptUpdate(context, body, &length, content.data(), static_cast<int>(content.size())) == 1 &&
                      EVP_EncryptFinal_ex(context, body + length, &length) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, body + content.size()) == 1;
  return sealed ? kHeaderBytes + fragment : 0;
}

std::optional<std::span<std::uint8_t>> DtlsRecords::open(const DtlsRecord& record) {
  const std::size_t overhead = kHeaderBytes + explicitNonceBytes_ + kTagBytes;
  if (record.epoch != 1 || record.bytes.size() < overhead || !window_.fresh(record.sequence)) return std::nullopt;
  const std::span<std::uint8_t> content =
      record.bytes.subspan(kHeaderBytes + explicitNonceBytes_, record.bytes.size() - overhead);
  std::uint8_t* tag = content.data() + content.size();
  const Nonce nonce = nonceFor(openingIv_, record.bytes.subspan(explicitNonceBytes_ > 0 ? kHeaderBytes : 3, 8));
  const auto extra = additionalData(record.bytes.data(), content.size());
  int length = 0;
  EVP_CIPHER_CTX* context = opening_.get();
  const bool authentic =
      EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &length, extra.data(), extra.size()) == 1 &&
      EVP_DecryptUpdate(context, content.data(), &length, content.data(), static_cast<int>(content.size())) == 1 &&
      EVP_DecryptFinal_ex(context, content.data() + length, &length) == 1;
  if (!authentic) return std::nullopt;
  window_.mark(record.sequence);
  return content;
}

}  // namespace imsdc
