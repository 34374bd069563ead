// The least that a device can run: libmosquitto over mutual TLS, one subscription, idle. What the agent is weighed against.
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>

static void on_connect(struct mosquitto *m, void *topic, int rc) {
  if (rc != 0) {
    fprintf(stderr, "connect: %s\n", mosquitto_connack_string(rc));
    exit(1);
  }
  mosquitto_subscribe(m, NULL, topic, 1);
}

static void on_subscribe(struct mosquitto *m, void *topic, int id, int count, const int *qos) {
  (void)m, (void)topic, (void)id, (void)count, (void)qos;
  puts("subscribed");
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: %s HOST PORT DEVICE CA CERTIFICATE KEY\n", argv[0]);
    return 2;
  }
  char topic[256], name[160];
  snprintf(topic, sizeof topic, "wherry/v1/devices/%s/desired", argv[3]);
  snprintf(name, sizeof name, "weight-%s", argv[3]);
  mosquitto_lib_init();
  struct mosquitto *m = mosquitto_new(name, true, topic);
  if (m == NULL || mosquitto_tls_set(m, argv[4], NULL, argv[5], argv[6], NULL) != MOSQ_ERR_SUCCESS) return 1;
  mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_connect_callback_set(m, on_connect);
  mosquitto_subscribe_callback_set(m, on_subscribe);
  int rc = mosquitto_connect(m, argv[1], atoi(argv[2]), 60);
  if (rc != MOSQ_ERR_SUCCESS) {
    fprintf(stderr, "connect: %s\n", mosquitto_strerror(rc));
    return 1;
  }
  return mosquitto_loop_forever(m, -1, 1);
}
