#pragma once
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

// libmosquitto is given a TLS context of ours (MOSQ_OPT_SSL_CTX): it then dials the address that we resolved, while
// OpenSSL itself checks the certificate against the configured name. Most of OpenSSL's API for this is macros.

/// What belongs to a context of ours.
struct wherry_tls {
  char *server;      // The name to ask for; NULL for an address, which has no place in that extension (RFC 6066, 3).
  int problem;       // Why the certificate of the latest handshake was refused; X509_V_OK.
};

/// libmosquitto asks for the address it dials as server name; a handshake asks for the configured name instead.
static inline void wherry_tls_begin(const SSL *ssl, int where, int ret) {
  (void)ret;
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  struct wherry_tls *tls = (struct wherry_tls *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  tls->problem = X509_V_OK;
  SSL_set_tlsext_host_name((SSL *)ssl, tls->server);
}

/// Decides nothing. libmosquitto frees the connection before anybody can ask it what was wrong.
static inline int wherry_tls_remember(int accepted, X509_STORE_CTX *store) {
  const SSL *ssl = (const SSL *)X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct wherry_tls *tls = (struct wherry_tls *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  if (!accepted) tls->problem = X509_STORE_CTX_get_error(store);
  return accepted;
}

static inline int wherry_tls_no_passphrase(char *buffer, int size, int writing, void *user) {
  (void)buffer, (void)size, (void)writing, (void)user;
  return -1;
}

/// A client context that trusts nothing yet. `name` is what the server's certificate must carry. NULL: no memory.
static inline SSL_CTX *wherry_tls_context_new(const char *name, int is_address) {
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) return NULL;
  X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
  struct wherry_tls *tls = (struct wherry_tls *)calloc(1, sizeof *tls);
  char *server = is_address ? NULL : strdup(name);
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  int named = is_address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name)
                         : X509_VERIFY_PARAM_set1_host(parameters, name, 0);
  if (named != 1 ||
      SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || tls == NULL || (!is_address && server == NULL)) {
    free(server);
    free(tls);
    SSL_CTX_free(context);
    return NULL;
  }
  tls->server = server;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, wherry_tls_remember);
  SSL_CTX_set_default_passwd_cb(context, wherry_tls_no_passphrase);
  SSL_CTX_set_app_data(context, tls);
  SSL_CTX_set_info_callback(context, wherry_tls_begin);
  // A device holds one connection and never resumes: no session cache, and buffers only while they are in use.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

static inline void wherry_tls_context_free(SSL_CTX *context) {
  struct wherry_tls *tls = (struct wherry_tls *)SSL_CTX_get_app_data(context);
  SSL_CTX_free(context);
  free(tls->server);
  free(tls);
}

static inline int wherry_tls_use_key_file(SSL_CTX *context, const char *path) {
  return SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
}

static inline int wherry_tls_in_handshake(struct mosquitto *client) {
  const SSL *ssl = (const SSL *)mosquitto_ssl_get(client);
  return ssl != NULL && SSL_in_init(ssl);
}

/// Why the server's certificate was not accepted; NULL when it was, or when it was not seen.
static inline const char *wherry_tls_certificate_problem(SSL_CTX *context) {
  const struct wherry_tls *tls = (const struct wherry_tls *)SSL_CTX_get_app_data(context);
  return tls->problem == X509_V_OK ? NULL : X509_verify_cert_error_string(tls->problem);
}

/// `mosquitto_want_write` stays true from the first blocked byte of a handshake to its end, which would spin a poll
/// loop until the server answers.
static inline int wherry_wants_write(struct mosquitto *client) {
  const SSL *ssl = (const SSL *)mosquitto_ssl_get(client);
  return ssl != NULL && SSL_in_init(ssl) ? SSL_want(ssl) == SSL_WRITING : mosquitto_want_write(client);
}

/// The Glibc module of Swift does not have it.
static inline int wherry_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
