#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

namespace imsdc {

/** Certificate check, cookies, retransmission schedule, key log. Each SSL's app data is its DtlsSession. */
void installDtlsCallbacks(SSL_CTX* context);

/** Between OpenSSL and one session: reads the datagram at hand, writes datagrams to the owner. */
BIO* newDatagramBio(void* session);

/** DTLS_set_timer_cb: R5. */
unsigned int nextDtlsTimeoutUs(SSL* ssl, unsigned int previousUs);

}  // namespace imsdc
