// The record layer by itself, with keys of a handshake that OpenSSL made with itself: what may be sealed, what is opened.
#include "../src/dtls_records.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <set>

#include "certificates.h"
#include "check.h"

namespace imsdc::test {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr const char* kSuites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                   "ECDHE-ECDSA-CHACHA20-POLY1305"};
constexpr std::uint64_t kLastSequence = (std::uint64_t{1} << 48) - 1;

/** Two SSL objects of OpenSSL, connected through memory. */
class OpensslPair {
 public:
  explicit OpensslPair(const char* suite) {
    const auto context = makeContext();
    for (const bool client : {true, false}) {
      SslContext own(SSL_CTX_new(DTLS_method()));
      SSL_CTX_use_certificate(own.get(), SSL_CTX_get0_certificate(context->get()));
      SSL_CTX_use_PrivateKey(own.get(), SSL_CTX_get0_privatekey(context->get()));
      SSL_CTX_set_max_proto_version(own.get(), DTLS1_2_VERSION);
      SSL_CTX_set_cipher_list(own.get(), suite);
      SSL* ssl = SSL_new(own.get());
      SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
      SSL_set_mtu(ssl, 1200);
      SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
      for (BIO* bio : {SSL_get_rbio(ssl), SSL_get_wbio(ssl)}) BIO_set_mem_eof_return(bio, -1);
      (client ? SSL_set_connect_state : SSL_set_accept_state)(ssl);
      (client ? client_ : server_).reset(ssl);
    }
  }

  bool handshake() {
    for (int round = 0; round < 10; ++round) {
      const bool clientDone = SSL_do_handshake(client_.get()) == 1;
      const bool done = SSL_do_handshake(server_.get()) == 1 && clientDone;
      carry(client_.get(), server_.get());
      carry(server_.get(), client_.get());
      if (done) return true;
    }
    return false;
  }

  SSL* client() { return client_.get(); }
  SSL* server() { return server_.get(); }

 private:
  static void carry(SSL* from, SSL* to) {
    Bytes bytes(BIO_ctrl_pending(SSL_get_wbio(from)));
    if (bytes.empty()) return;
    BIO_read(SSL_get_wbio(from), bytes.data(), static_cast<int>(bytes.size()));
    BIO_write(SSL_get_rbio(to), bytes.data(), static_cast<int>(bytes.size()));
  }

  std::unique_ptr<SSL, Deleter<SSL, SSL_free>> client_;
  std::unique_ptr<SSL, Deleter<SSL, SSL_free>> server_;
};

/** Both ends of one connection; each end's Finished was record 0 of epoch 1. */
struct Ends {
  explicit Ends(const char* suite, std::uint64_t sent = 1) : openssl(suite) {
    if (!openssl.handshake()) return;
    client = DtlsRecords::take(openssl.client(), true, sent);
    server = DtlsRecords::take(openssl.server(), false, 1);
  }
  OpensslPair openssl;
  std::unique_ptr<DtlsRecords> client;
  std::unique_ptr<DtlsRecords> server;
};

Bytes seal(DtlsRecords& records, const Bytes& content, RecordType type = RecordType::content) {
  Bytes out(content.size() + DtlsRecords::kMaxOverheadBytes);
  out.resize(records.seal(type, content, out));
  return out;
}

/** A copy is opened: what is given stays as it was. */
std::optional<Bytes> open(DtlsRecords& records, Bytes datagram) {
  std::span<std::uint8_t> rest = datagram;
  const auto record = nextRecord(rest);
  if (!record) return std::nullopt;
  const auto content = records.open(*record);
  if (!content) return std::nullopt;
  return Bytes(content->begin(), content->end());
}

TEST(whatOneEndSealsTheOtherOpensAlsoNothingAndAlsoOpenssl) {
  for (const char* suite : kSuites) {
    Ends ends(suite);
    REQUIRE(ends.client && ends.server);
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1143U}) {
      const Bytes content(size, 'c');
      CHECK(open(*ends.server, seal(*ends.client, content)) == content);
      CHECK(open(*ends.client, seal(*ends.server, content)) == content);
    }
    const Bytes record = seal(*ends.client, Bytes(100, 'o'));
    BIO_write(SSL_get_rbio(ends.openssl.server()), record.data(), static_cast<int>(record.size()));
    Bytes read(200);
    CHECK(SSL_read(ends.openssl.server(), read.data(), static_cast<int>(read.size())) == 100);
  }
}

TEST(noNonceComesTwice) {
  for (const char* suite : kSuites) {
    Ends ends(suite);
    REQUIRE(ends.client);
    // RFC 5288 3: the explicit part; RFC 7905 2: the nonce is the sequence number of the header, so both show there.
    std::set<Bytes> seen;
    std::set<Bytes> ciphertexts;
    for (int count = 0; count < 1000; ++count) {
      const Bytes record = seal(*ends.client, Bytes(32, 'x'));
      CHECK(record[3] == 0 && record[4] == 1);
      CHECK(seen.emplace(record.begin() + 3, record.begin() + 11).second);
      const bool explicitNonce = record.size() == DtlsRecords::kHeaderBytes + 8 + 32 + 16;
      if (explicitNonce) CHECK(std::equal(record.begin() + 3, record.begin() + 11, record.begin() + 13));
      CHECK(ciphertexts.emplace(record.begin() + (explicitNonce ? 21 : 13), record.end()).second);
    }
    // The two directions have keys of their own: what one end has sealed is nothing to itself.
    CHECK(!open(*ends.client, seal(*ends.client, Bytes(32, 'x'))));
  }
}

TEST(sequenceNumbersEndInsteadOfStartingOver) {
  for (const char* suite : kSuites) {
    Ends ends(suite, kLastSequence);
    REQUIRE(ends.client && ends.server);
    const Bytes last = seal(*ends.client, Bytes{1});
    CHECK(open(*ends.server, last) == Bytes{1});
    CHECK(seal(*ends.client, Bytes{2}).empty());
    CHECK(seal(*ends.client, Bytes{2}).empty());
  }
}

TEST(everyOctetOfARecordIsAuthenticated) {
  for (const char* suite : kSuites) {
    Ends ends(suite);
    REQUIRE(ends.client && ends.server);
    const Bytes record = seal(*ends.client, Bytes(20, 'a'));
    for (std::size_t at = 0; at < record.size(); ++at) {
      for (const std::uint8_t flip : {std::uint8_t{1}, std::uint8_t{0x80}}) {
        Bytes changed = record;
        changed[at] ^= flip;
        CHECK(!open(*ends.server, changed));
      }
    }
    for (std::size_t size = 0; size < record.size(); ++size) {
      Bytes shorter(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(size));
      if (size >= DtlsRecords::kHeaderBytes) {
        shorter[11] = 0;
        shorter[12] = static_cast<std::uint8_t>(size - DtlsRecords::kHeaderBytes);
      }
      CHECK(!open(*ends.server, shorter));
    }
    CHECK(open(*ends.server, record) == Bytes(20, 'a'));
  }
}

TEST(aForgeryDoesNotMoveTheReplayWindow) {
  for (const char* suite : kSuites) {
    Ends ends(suite);
    REQUIRE(ends.client && ends.server);
    const Bytes record = seal(*ends.client, Bytes(20, 'a'));
    Bytes forged = record;
    for (std::size_t at = 5; at < 11; ++at) forged[at] = 0xff;  // the highest number there is
    CHECK(!open(*ends.server, forged));
    CHECK(open(*ends.server, record) == Bytes(20, 'a'));
    CHECK(!open(*ends.server, record));
  }
}

TEST(aRecordThatDoesNotFitCostsNoSequenceNumber) {
  Ends ends(kSuites[0]);
  REQUIRE(ends.client && ends.server);
  Bytes small(20);
  CHECK(ends.client->seal(RecordType::content, Bytes(20, 'a'), small) == 0);
  const Bytes record = seal(*ends.client, Bytes{1});
  CHECK(record[10] == 1);
}

}  // namespace
}  // namespace imsdc::test
