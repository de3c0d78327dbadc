/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_script.h"

#include <stdio.h>
#include <string.h>

#include "core/dprint.h"
#include "core/error.h"
#include "core/pvapi.h"
#include "core/pvar.h"
#include "kamailio_module/bridge.h"

#define MAX_TOPIC_BYTES 65535
#define MAX_OPTIONS_BYTES 1024

/* Enough to recognize a wrong qos by, too little to show a payload that stands
 * in its place. */
#define SHOWN_QOS_BYTES 8

/* Requests, from scripts and KEMI alike. */

static mqtt_bytes bytes_of(const str *text) {
  mqtt_bytes bytes = {text->s != NULL ? text->s : "", text->len};
  return bytes;
}

static int answer(const char *function, mqtt_result result,
                  const mqtt_refusal *refusal) {
  if (refusal->text[0] == '\0') return result;
  if (result == MQTT_INVALID) {
    LM_ERR("%s: %s\n", function, refusal->text);
  } else {
    LM_WARN("%s: %s\n", function, refusal->text);
  }
  return result;
}

static int publish(const char *function, const str *topic, const str *payload,
                   int qos, const str *options) {
  mqtt_refusal refusal;
  mqtt_result result = mqtt_publish(bytes_of(topic), bytes_of(payload), qos,
                                    bytes_of(options), &refusal);
  return answer(function, result, &refusal);
}

static int subscribe(const char *function, const str *topic, int qos) {
  mqtt_refusal refusal;
  mqtt_result result = mqtt_subscribe(bytes_of(topic), qos, &refusal);
  return answer(function, result, &refusal);
}

static int unsubscribe(const char *function, const str *topic) {
  mqtt_refusal refusal;
  mqtt_result result = mqtt_unsubscribe(bytes_of(topic), &refusal);
  return answer(function, result, &refusal);
}

static const str no_options = STR_STATIC_INIT("");

/* Parameters of script functions: FPARAM_STR is plain text, FPARAM_PVE has
 * pseudo-variables. */

/* What messages say about a parameter. */
typedef struct parameter {
  const char *function;
  const char *name;
} parameter;

/* Whether a fixup sees the value of an expression, evaluated for one call. */
static int is_call_time_value(void **param) {
  return fixup_get_param(param, 1, 1)->type == STRING_RVE_ST;
}

static int fix_text(void **param, const parameter *about) {
  if (is_call_time_value(param)) {
    /* What looks like a pseudo-variable is none, and there may be NULs. */
    int length = fixup_get_param(param, 1, 1)->u.str.len;
    if (fix_param(FPARAM_STR, param) != 0) return E_UNSPEC;
    ((fparam_t *)*param)->v.str.len = length;
    return 0;
  }
  if (fix_param(FPARAM_PVE, param) != 0) {
    LM_ERR("%s: %s \"%s\": unknown or malformed pseudo-variable\n",
           about->function, about->name, (char *)*param);
    return E_CFG;
  }
  if (((fparam_t *)*param)->v.pve->spec == NULL) {
    fparam_free_restore(param);
    return fix_param(FPARAM_STR, param);
  }
  return 0;
}

/* What may be shown of a qos. */
static mqtt_bytes shown_qos(const str *text) {
  mqtt_bytes shown = bytes_of(text);

  if (shown.size > SHOWN_QOS_BYTES) shown.size = SHOWN_QOS_BYTES;
  return shown;
}

/* Returns 0..2, or -1. */
static int parse_qos(const str *text) {
  return text->len == 1 && text->s[0] >= '0' && text->s[0] <= '2'
             ? text->s[0] - '0'
             : -1;
}

static int fix_qos(void **param, const parameter *about) {
  fparam_t *fixed;
  mqtt_bytes shown;

  if (fix_text(param, about) < 0) return E_CFG;
  fixed = *param;
  /* What is known only at the call is judged there. */
  if (fixed->type != FPARAM_STR || is_call_time_value(param)) return 0;
  if (parse_qos(&fixed->v.str) >= 0) return 0;
  shown = shown_qos(&fixed->v.str);
  LM_ERR("%s: %s \"%.*s\": must be 0, 1 or 2\n", about->function, about->name,
         (int)shown.size, shown.data);
  return E_CFG;
}

static int is_one_variable(const pv_elem_t *format) {
  return format->text.len == 0 && format->next == NULL;
}

/* What is wrong with a call is found while it runs: MQTT_INVALID, counted and
 * logged, as often as calls may be. */

static const mqtt_bytes not_shown = {NULL, 0};

static mqtt_result refuse(const parameter *about, mqtt_bytes value,
                          const char *rule) {
  mqtt_refusal refusal;
  mqtt_result result = mqtt_refuse(about->name, value, rule, &refusal);
  return answer(about->function, result, &refusal);
}

/* The value lasts until further pseudo-variables are evaluated. Returns 0, or
 * the result of the call, which is negative. */
static int evaluate(sip_msg_t *msg, fparam_t *param, const parameter *about,
                    str *text) {
  pv_value_t value;
  char rule[128];
  mqtt_bytes name;

  if (param->type == FPARAM_STR) {
    *text = param->v.str;
    return 0;
  }
  if (!is_one_variable(param->v.pve)) {
    if (pv_printf_s(msg, param->v.pve, text) == 0) return 0;
    snprintf(rule, sizeof(rule),
             "longer than pv_buffer_size, %d bytes; build it in one "
             "pseudo-variable",
             pv_get_buffer_size());
    return refuse(about, not_shown, rule);
  }
  if (pv_get_spec_value(msg, param->v.pve->spec, &value) != 0 ||
      (value.flags & PV_VAL_NULL)) {
    name.data = param->orig;
    name.size = strlen(param->orig);
    return refuse(about, name, "must not be null");
  }
  *text = value.rs;
  return 0;
}

/* Like evaluate(), but the value lasts in `buffer`, of `size` bytes. */
static int evaluate_into(char *buffer, int size, sip_msg_t *msg,
                         fparam_t *param, const parameter *about, str *text) {
  int result = evaluate(msg, param, about, text);
  char rule[64];

  if (result < 0) return result;
  if (text->len > size) {
    snprintf(rule, sizeof(rule), "has %d bytes, must have at most %d",
             text->len, size);
    return refuse(about, not_shown, rule);
  }
  if (text->len > 0) memcpy(buffer, text->s, text->len);
  text->s = buffer;
  return 0;
}

/* Returns 0..2, or the result of the call, which is negative. */
static int evaluate_qos(sip_msg_t *msg, fparam_t *param,
                        const parameter *about) {
  str text;
  int qos = evaluate(msg, param, about, &text);

  if (qos < 0) return qos;
  qos = parse_qos(&text);
  return qos >= 0 ? qos : refuse(about, shown_qos(&text), "must be 0, 1 or 2");
}

/* mqtt_publish(topic, payload, qos[, options]) */

static const parameter publish_parameters[] = {{"mqtt_publish", "topic"},
                                               {"mqtt_publish", "payload"},
                                               {"mqtt_publish", "qos"},
                                               {"mqtt_publish", "options"}};

static int fix_publish(void **param, int number) {
  const parameter *about = &publish_parameters[number - 1];
  return number == 3 ? fix_qos(param, about) : fix_text(param, about);
}

static int script_publish_options(sip_msg_t *msg, char *topic_param,
                                  char *payload_param, char *qos_param,
                                  char *options_param) {
  static char topic_buffer[MAX_TOPIC_BYTES];
  static char options_buffer[MAX_OPTIONS_BYTES];
  str topic;
  str payload;
  str options = no_options;
  int qos;
  int result;

  result =
      evaluate_into(topic_buffer, sizeof(topic_buffer), msg,
                    (fparam_t *)topic_param, &publish_parameters[0], &topic);
  if (result < 0) return result;
  qos = evaluate_qos(msg, (fparam_t *)qos_param, &publish_parameters[2]);
  if (qos < 0) return qos;
  if (options_param != NULL) {
    result = evaluate_into(options_buffer, sizeof(options_buffer), msg,
                           (fparam_t *)options_param, &publish_parameters[3],
                           &options);
    if (result < 0) return result;
  }
  /* The last one needs no copy. */
  result = evaluate(msg, (fparam_t *)payload_param, &publish_parameters[1],
                    &payload);
  if (result < 0) return result;
  return publish("mqtt_publish", &topic, &payload, qos, &options);
}

static int script_publish(sip_msg_t *msg, char *topic, char *payload,
                          char *qos) {
  return script_publish_options(msg, topic, payload, qos, NULL);
}

/* mqtt_subscribe(topic, qos) */

static const parameter subscribe_parameters[] = {{"mqtt_subscribe", "topic"},
                                                 {"mqtt_subscribe", "qos"}};

static int fix_subscribe(void **param, int number) {
  const parameter *about = &subscribe_parameters[number - 1];
  return number == 2 ? fix_qos(param, about) : fix_text(param, about);
}

static int script_subscribe(sip_msg_t *msg, char *topic_param,
                            char *qos_param) {
  str topic;
  int qos = evaluate_qos(msg, (fparam_t *)qos_param, &subscribe_parameters[1]);
  int result;

  if (qos < 0) return qos;
  result =
      evaluate(msg, (fparam_t *)topic_param, &subscribe_parameters[0], &topic);
  if (result < 0) return result;
  return subscribe("mqtt_subscribe", &topic, qos);
}

/* mqtt_unsubscribe(topic) */

static const parameter unsubscribe_topic = {"mqtt_unsubscribe", "topic"};

static int fix_unsubscribe(void **param, int number) {
  (void)number;
  return fix_text(param, &unsubscribe_topic);
}

static int script_unsubscribe(sip_msg_t *msg, char *topic_param, char *unused) {
  str topic;
  int result =
      evaluate(msg, (fparam_t *)topic_param, &unsubscribe_topic, &topic);

  (void)unused;
  if (result < 0) return result;
  return unsubscribe("mqtt_unsubscribe", &topic);
}

/* Kamailio calls a function with as many arguments as its parameters say. */
#define SCRIPT_FUNCTION(function) ((cmd_function)(void (*)(void))(function))

cmd_export_t mqtt_functions[] = {
    {"mqtt_publish", SCRIPT_FUNCTION(script_publish), 3, fix_publish,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_publish", SCRIPT_FUNCTION(script_publish_options), 4, fix_publish,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_subscribe", script_subscribe, 2, fix_subscribe,
     fixup_free_fparam_all, ANY_ROUTE},
    {"mqtt_unsubscribe", script_unsubscribe, 1, fix_unsubscribe,
     fixup_free_fparam_all, ANY_ROUTE},
    {0}};

/* KEMI: KSR.mqtt.publish(topic, payload, qos) and so on. */

static int kemi_publish(sip_msg_t *msg, str *topic, str *payload, int qos) {
  (void)msg;
  return publish("KSR.mqtt.publish", topic, payload, qos, &no_options);
}

static int kemi_publish_opts(sip_msg_t *msg, str *topic, str *payload, int qos,
                             str *options) {
  (void)msg;
  return publish("KSR.mqtt.publish_opts", topic, payload, qos, options);
}

static int kemi_subscribe(sip_msg_t *msg, str *topic, int qos) {
  (void)msg;
  return subscribe("KSR.mqtt.subscribe", topic, qos);
}

static int kemi_unsubscribe(sip_msg_t *msg, str *topic) {
  (void)msg;
  return unsubscribe("KSR.mqtt.unsubscribe", topic);
}

sr_kemi_t mqtt_kemi_functions[] = {
    {str_init("mqtt"),
     str_init("publish"),
     SR_KEMIP_INT,
     kemi_publish,
     {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}},
    {str_init("mqtt"),
     str_init("publish_opts"),
     SR_KEMIP_INT,
     kemi_publish_opts,
     {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT, SR_KEMIP_STR}},
    {str_init("mqtt"),
     str_init("subscribe"),
     SR_KEMIP_INT,
     kemi_subscribe,
     {SR_KEMIP_STR, SR_KEMIP_INT}},
    {str_init("mqtt"),
     str_init("unsubscribe"),
     SR_KEMIP_INT,
     kemi_unsubscribe,
     {SR_KEMIP_STR}},
    {{NULL, 0}, {NULL, 0}, SR_KEMIP_NONE, NULL, {SR_KEMIP_NONE}}};
