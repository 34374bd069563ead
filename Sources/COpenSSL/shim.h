#pragma once
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Macros and variadic functions, which Swift does not import.

static inline EVP_PKEY *wherry_ec_p256_generate(void) { return EVP_EC_gen("P-256"); }

static inline int wherry_utf8_string(void) { return MBSTRING_UTF8; }

static inline int wherry_is_p256(const EVP_PKEY *key) {
  char group[32];
  size_t length = 0;
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         OBJ_sn2nid(group) == NID_X9_62_prime256v1;
}

/// Adds one extension in OpenSSL's own notation; `issuer` may be `certificate` itself.
static inline int wherry_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
  context.db = NULL;
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  if (extension == NULL) return 0;
  int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added;
}

/// Refuses encrypted keys instead of asking for a passphrase on the terminal.
static inline int wherry_no_passphrase(char *buffer, int size, int writing, void *user) {
  (void)buffer, (void)size, (void)writing, (void)user;
  return -1;
}

static inline EVP_PKEY *wherry_read_private_key(BIO *bio) {
  return PEM_read_bio_PrivateKey(bio, NULL, wherry_no_passphrase, NULL);
}
