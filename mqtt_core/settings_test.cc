// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/settings.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/tls_files.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int kIntMin = std::numeric_limits<int>::min();
constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();
constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() { settings_.host = "broker.example.org"; }

  std::vector<std::string> Problems() const { return FindProblems(settings_); }

  Settings settings_;
};

TEST_F(SettingsTest, TheHostIsAllThatIsNeeded) {
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(SettingsTest, DefaultsAreThoseOfTheStockModule) {
  const Settings settings;
  EXPECT_EQ(settings.port, 1883);
  EXPECT_EQ(settings.keepalive_seconds, 5);
  EXPECT_EQ(settings.tls.verify_certificate, "1");
  EXPECT_FALSE(settings.tls.enabled());
  EXPECT_EQ(settings.reconnect.delay_seconds, 3);
  EXPECT_EQ(settings.reconnect.longest_delay_seconds(), 3);
}

// host

TEST_F(SettingsTest, HostIsMandatory) {
  settings_.host.reset();
  EXPECT_THAT(Problems(), ElementsAre("parameter \"host\": must be set"));
}

TEST_F(SettingsTest, HostMayBeANameOrAnAddress) {
  for (const char* host :
       {"a", "1.2.3.4", "::1", "fe80::1%eth0", "xn--bcher-kva",
        "b\xC3\xBC"
        "cher.example"}) {
    settings_.host = host;
    EXPECT_THAT(Problems(), IsEmpty()) << host;
  }
}

TEST_F(SettingsTest, HostIsNotEmpty) {
  settings_.host = "";
  EXPECT_THAT(Problems(), ElementsAre("parameter \"host\": value \"\": "
                                      "must not be empty"));
}

TEST_F(SettingsTest, HostHasNoBlanksOrControlCharacters) {
  settings_.host = "two hosts";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"host\": value \"two hosts\": "
                          "must not hold blanks or control characters"));
  for (const char c : {' ', '\t', '\n', '\r', '\0', '\x01', '\x1B', '\x7F'}) {
    settings_.host = std::string("host") + c;
    EXPECT_THAT(Problems(), ElementsAre(HasSubstr("must not hold blanks")))
        << int{c};
  }
}

TEST_F(SettingsTest, HostIsAtMost255Bytes) {
  settings_.host = std::string(255, 'x');
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.host = std::string(256, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre(absl::StrCat("parameter \"host\": value \"",
                                       std::string(128, 'x'),
                                       "...\": must be at most 255 bytes")));
}

// Values in messages.

TEST_F(SettingsTest, ValuesAreEscaped) {
  settings_.host = "a\n\"b\"\x1B[31m\xFF";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"host\": value "
                          "\"a\\n\\\"b\\\"\\x1b[31m\\xff\": must not hold "
                          "blanks or control characters"));
}

TEST_F(SettingsTest, ValuesOf128BytesAreShownInFull) {
  settings_.queue.policy = std::string(128, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre(HasSubstr(std::string(128, 'x') + "\": must")));
  settings_.queue.policy += 'x';
  EXPECT_THAT(Problems(),
              ElementsAre(HasSubstr(std::string(128, 'x') + "...\": must")));
}

// Numbers.

struct NumberCase {
  const char* parameter;
  void (*set)(Settings& settings, int64_t value);
  std::vector<int64_t> good;
  std::vector<int64_t> bad;
  const char* rule;
};

void PrintTo(const NumberCase& number, std::ostream* out) {
  *out << number.parameter;
}

class NumberTest : public SettingsTest,
                   public testing::WithParamInterface<NumberCase> {};

TEST_P(NumberTest, AcceptsWhatIsInTheRange) {
  for (const int64_t value : GetParam().good) {
    GetParam().set(settings_, value);
    EXPECT_THAT(Problems(), IsEmpty());
  }
}

TEST_P(NumberTest, RefusesWhatIsNot) {
  for (const int64_t value : GetParam().bad) {
    GetParam().set(settings_, value);
    EXPECT_THAT(Problems(),
                ElementsAre(absl::StrCat("parameter \"", GetParam().parameter,
                                         "\": value \"", value,
                                         "\": ", GetParam().rule)));
  }
}

// A will, so that its QoS and retain flag have a use.
void SetWill(Settings& settings) {
  settings.will.topic = "gateways/1";
  settings.will.payload = "gone";
}

INSTANTIATE_TEST_SUITE_P(
    All, NumberTest,
    testing::Values(
        NumberCase{"port",
                   [](Settings& s, int64_t value) { s.port = value; },
                   {1, 1883, 8883, 65535},
                   {kIntMin, -1, 0, 65536, 70000, kIntMax},
                   "must be from 1 to 65535"},
        NumberCase{
            "keepalive",
            [](Settings& s, int64_t value) { s.keepalive_seconds = value; },
            {0, 5, 60, 65535},
            {kIntMin, -1, 1, 4, 65536, kIntMax},
            "must be 0 or from 5 to 65535"},
        NumberCase{"will_qos",
                   [](Settings& s, int64_t value) {
                     SetWill(s);
                     s.will.qos = value;
                   },
                   {0, 1, 2},
                   {kIntMin, -1, 3, kIntMax},
                   "must be from 0 to 2"},
        NumberCase{"will_retain",
                   [](Settings& s, int64_t value) {
                     SetWill(s);
                     s.will.retain = value;
                   },
                   {0, 1},
                   {kIntMin, -1, 2, kIntMax},
                   "must be 0 or 1"},
        NumberCase{"resubscribe",
                   [](Settings& s, int64_t value) { s.resubscribe = value; },
                   {0, 1},
                   {kIntMin, -1, 2, kIntMax},
                   "must be 0 or 1"},
        NumberCase{
            "queue_max_messages",
            [](Settings& s, int64_t value) { s.queue.max_messages = value; },
            {1, 100000000},
            {kInt64Min, -1, 0, 100000001, kInt64Max},
            "must be from 1 to 100000000"},
        NumberCase{
            "queue_max_bytes",
            [](Settings& s, int64_t value) { s.queue.max_bytes = value; },
            {1024, kIntMax, kInt64Max},
            {kInt64Min, -1, 0, 1023},
            "must be at least 1024"},
        NumberCase{
            "queue_ttl",
            [](Settings& s, int64_t value) { s.queue.ttl_seconds = value; },
            {0, 1, kIntMax},
            {kIntMin, -1},
            "must be at least 0"},
        NumberCase{"reconnect_delay",
                   [](Settings& s, int64_t value) {
                     s.reconnect.delay_seconds = value;
                   },
                   {1, 3, 86400},
                   {kIntMin, -1, 0, 86401, kIntMax},
                   "must be from 1 to 86400"},
        NumberCase{"reconnect_delay_max",
                   [](Settings& s, int64_t value) {
                     s.reconnect.delay_max_seconds = value;
                   },
                   {0, 3, 60, 86400},
                   {kIntMin, -1, 86401, kIntMax},
                   "must be from 0 to 86400"},
        NumberCase{"connect_timeout",
                   [](Settings& s, int64_t value) {
                     s.connect_timeout_seconds = value;
                   },
                   {1, 10, 3600},
                   {kIntMin, -1, 0, 3601, kIntMax},
                   "must be from 1 to 3600"},
        NumberCase{
            "drain_timeout",
            [](Settings& s, int64_t value) { s.drain_timeout_ms = value; },
            {0, 1, 60000},
            {kIntMin, -1, 60001, kIntMax},
            "must be from 0 to 60000"}));

// The time to drain.

struct DrainCase {
  int drain_timeout_ms;
  int exit_timeout_seconds;
  int drain_time_ms;
};

class DrainTimeTest : public testing::TestWithParam<DrainCase> {};

TEST_P(DrainTimeTest, EndsBeforeKamailioKillsItsProcesses) {
  Settings settings;
  settings.drain_timeout_ms = GetParam().drain_timeout_ms;
  settings.exit_timeout_seconds = GetParam().exit_timeout_seconds;
  EXPECT_EQ(settings.drain_time().count(), GetParam().drain_time_ms);
  EXPECT_EQ(FindWarnings(settings).empty(),
            GetParam().drain_time_ms == GetParam().drain_timeout_ms);
}

INSTANTIATE_TEST_SUITE_P(
    , DrainTimeTest,
    testing::Values(DrainCase{3000, 60, 3000}, DrainCase{58000, 60, 58000},
                    DrainCase{58001, 60, 58000}, DrainCase{60000, 60, 58000},
                    DrainCase{3000, 4, 2000}, DrainCase{3000, 2, 0},
                    DrainCase{3000, 1, 0}, DrainCase{0, 1, 0},
                    // No limit.
                    DrainCase{60000, 0, 60000}, DrainCase{60000, -1, 60000},
                    DrainCase{60000, kIntMax, 60000}));

TEST_F(SettingsTest, AShorterDrainIsToldWithWhatShortensIt) {
  settings_.drain_timeout_ms = 60000;
  settings_.exit_timeout_seconds = 60;
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(FindWarnings(settings_),
              ElementsAre("parameter \"drain_timeout\": value \"60000\": only "
                          "58000 ms are used, because Kamailio kills its "
                          "processes after exit_timeout, 60 s"));
}

// Reconnecting.

TEST_F(SettingsTest, ADelayAloneIsConstant) {
  settings_.reconnect.delay_seconds = 30;
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(settings_.reconnect.longest_delay_seconds(), 30);
  settings_.reconnect.delay_seconds = 1;
  EXPECT_EQ(settings_.reconnect.longest_delay_seconds(), 1);
}

TEST_F(SettingsTest, TheLongestDelayIsNotBelowTheDelay) {
  settings_.reconnect = {30, 30};
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.reconnect = {30, 120};
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(settings_.reconnect.longest_delay_seconds(), 120);
  settings_.reconnect = {30, 29};
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"reconnect_delay_max\": value \"29\": "
                          "must not be less than \"reconnect_delay\", 30"));
}

// id

TEST_F(SettingsTest, IdMayBeAnyText) {
  // Brokers must take 23 bytes, and may take more (MQTT 3.1.1 section 3.1.3.1).
  for (const std::string& id :
       {std::string("kamailio123"),
        std::string("b\xC3\xBC"
                    "cher"),
        std::string("\xE2\x82\xAC"), std::string("\xF0\x9F\x98\x80"),
        std::string(24, 'x'), std::string(65535, 'x')}) {
    settings_.id = id;
    EXPECT_THAT(Problems(), IsEmpty()) << id;
  }
}

TEST_F(SettingsTest, IdIsNotEmpty) {
  settings_.id = "";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"id\": value \"\": must not be empty: "
                          "leave it unset for a random one"));
}

TEST_F(SettingsTest, IdIsAtMost65535Bytes) {
  settings_.id = std::string(65536, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre(AllOf(StartsWith("parameter \"id\": value \"xxx"),
                                HasSubstr("65535"))));
}

TEST_F(SettingsTest, IdIsValidUtf8WithoutNul) {
  for (const std::string& id :
       {std::string("a\0b", 3), std::string("\xFF"), std::string("\xC3"),
        std::string("\xED\xA0\x80"), std::string("\xC0\x80")}) {
    settings_.id = id;
    EXPECT_THAT(Problems(), ElementsAre(StartsWith("parameter \"id\": value")));
  }
}

// Texts that MQTT allows and libmosquitto refuses.

constexpr const char* kRefusedByLibmosquitto[] = {
    "a\tb",              // U+0009
    "\x1F",              // U+001F
    "\x7F",              // U+007F
    "\xC2\x80",          // U+0080
    "\xC2\x9F",          // U+009F
    "\xEF\xB7\x90",      // U+FDD0
    "\xEF\xB7\xAF",      // U+FDEF
    "\xEF\xBF\xBE",      // U+FFFE
    "\xEF\xBF\xBF",      // U+FFFF
    "\xF0\x9F\xBF\xBE",  // U+1FFFE
    "\xF4\x8F\xBF\xBF",  // U+10FFFF
};

constexpr const char* kNextToThose[] = {
    " ",                 // U+0020
    "~",                 // U+007E
    "\xC2\xA0",          // U+00A0
    "\xEF\xB7\x8F",      // U+FDCF
    "\xEF\xB7\xB0",      // U+FDF0
    "\xEF\xBF\xBD",      // U+FFFD
    "\xF0\x90\x80\x80",  // U+10000
    "\xF4\x8F\xBF\xBD",  // U+10FFFD
};

constexpr char kCharacterRule[] = "character at byte [0-9]+ is not allowed";

TEST_F(SettingsTest, TextsHaveNoControlCharactersOrNoncharacters) {
  for (const char* text : kRefusedByLibmosquitto) {
    settings_.id = text;
    settings_.username = text;
    settings_.password = "x";
    settings_.will.topic = text;
    settings_.will.payload = text;
    EXPECT_THAT(
        Problems(),
        ElementsAre(
            AllOf(HasSubstr("\"id\""), ContainsRegex(kCharacterRule)),
            AllOf(HasSubstr("\"username\""), ContainsRegex(kCharacterRule)),
            AllOf(HasSubstr("\"will_topic\""), ContainsRegex(kCharacterRule))))
        << testing::PrintToString(text);
  }
}

TEST_F(SettingsTest, TextsMayHaveTheCharactersNextToThose) {
  for (const char* text : kNextToThose) {
    settings_.id = text;
    settings_.username = text;
    settings_.password = "x";
    settings_.will.topic = text;
    settings_.will.payload = text;
    EXPECT_THAT(Problems(), IsEmpty()) << testing::PrintToString(text);
  }
}

// username, password

TEST_F(SettingsTest, CredentialsComeInPairs) {
  settings_.username = "kamailio-user";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"username\": value \"kamailio-user\": "
                          "must be set together with \"password\""));
  settings_.password = "supers3cre7";
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.username.reset();
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"password\": must be set together with "
                          "\"username\""));
}

TEST_F(SettingsTest, CredentialsMayBeEmpty) {
  settings_.username = "";
  settings_.password = "";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(SettingsTest, UsernameIsTextOfAtMost65535Bytes) {
  settings_.password = "x";
  settings_.username = std::string(65535, 'x');
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.username = std::string(65536, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre(AllOf(StartsWith("parameter \"username\": value"),
                                HasSubstr("65535"))));
  settings_.username = "\xFF";
  EXPECT_THAT(
      Problems(),
      ElementsAre(StartsWith("parameter \"username\": value \"\\xff\": ")));
}

TEST_F(SettingsTest, PasswordIsBinaryOfAtMost65535Bytes) {
  settings_.username = "x";
  settings_.password = std::string(65535, '\xFF');
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.password = std::string(65536, '\xFF');
  EXPECT_THAT(Problems(), ElementsAre("parameter \"password\": must be at most "
                                      "65535 bytes"));
}

// will, will_topic

TEST_F(SettingsTest, WillComesWithItsTopic) {
  settings_.will.topic = "kamailio123";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"will_topic\": value \"kamailio123\": "
                          "must be set together with \"will\""));
  settings_.will.payload = "gone";
  EXPECT_THAT(Problems(), IsEmpty());
  settings_.will.topic.reset();
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"will\": must be set together with "
                          "\"will_topic\""));
}

TEST_F(SettingsTest, WillTopicIsATopicName) {
  settings_.will.payload = "gone";
  for (const char* topic : {"", "a/+", "#", "\xFF"}) {
    settings_.will.topic = topic;
    EXPECT_THAT(Problems(),
                ElementsAre(StartsWith("parameter \"will_topic\": value \"")));
  }
  settings_.will.topic = std::string(65536, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre(StartsWith("parameter \"will_topic\": value \"xxx")));
  settings_.will.topic = "$gateways//1/ ";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(SettingsTest, WillIsAnyPayloadThatFitsConnect) {
  settings_.will.topic = "kamailio123";
  for (const std::string& payload :
       {std::string(), std::string("\0\xFF", 2), std::string(65535, 'x')}) {
    settings_.will.payload = payload;
    EXPECT_THAT(Problems(), IsEmpty());
  }
  settings_.will.payload = std::string(65536, 'x');
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"will\": must be at most 65535 bytes, "
                          "has 65536"));
}

TEST_F(SettingsTest, QosAndRetainOfAWillNeedAWill) {
  settings_.will.qos = 1;
  settings_.will.retain = 1;
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"will_qos\": value \"1\": needs "
                          "\"will_topic\" and \"will\"",
                          "parameter \"will_retain\": value \"1\": needs "
                          "\"will_topic\" and \"will\""));
  settings_.will.qos = 3;
  settings_.will.retain = 2;
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"will_qos\": value \"3\": must be from 0 "
                          "to 2",
                          "parameter \"will_retain\": value \"2\": must be 0 "
                          "or 1"));
}

// queue_policy

TEST_F(SettingsTest, QueuePolicyIsOneOfTwo) {
  settings_.queue.policy = "drop_oldest";
  EXPECT_THAT(Problems(), IsEmpty());
  for (const char* policy : {"", "Reject", "drop", "drop_oldest "}) {
    settings_.queue.policy = policy;
    EXPECT_THAT(Problems(), ElementsAre(absl::StrCat(
                                "parameter \"queue_policy\": value \"", policy,
                                "\": must be reject or drop_oldest")));
  }
}

// TLS. What is wrong with a file is the subject of tls_check_test.

class TlsSettingsTest : public SettingsTest {
 protected:
  static void SetUpTestSuite() {
    files_ = new TlsFiles;
    files_->MakeCertificate("ca");
    files_->MakeCertificate("client");
    files_->MakeCertificate("other");
    files_->MakeDirectory("cas");
    files_->Write("cas/ca.pem", files_->Read("ca.crt"));
    files_->OpenSsl("rehash cas");
  }
  static void TearDownTestSuite() {
    delete files_;
    files_ = nullptr;
  }

  TlsSettingsTest() { tls_.ca_file = files_->Path("ca.crt"); }

  static TlsFiles* files_;
  TlsSettings& tls_ = settings_.tls;
};

TlsFiles* TlsSettingsTest::files_ = nullptr;

// The line about a parameter whose value may be too long to be shown in full,
// as the paths of tests are.
auto Refuses(absl::string_view parameter, absl::string_view rule) {
  return AllOf(
      StartsWith(absl::StrCat("parameter \"", parameter, "\": value \"/")),
      EndsWith(absl::StrCat("\": ", rule)));
}

TEST_F(TlsSettingsTest, AcceptsACaFile) {
  EXPECT_TRUE(tls_.enabled());
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(TlsSettingsTest, AcceptsACaPath) {
  tls_.ca_file.reset();
  tls_.ca_path = files_->Path("cas");
  EXPECT_TRUE(tls_.enabled());
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(TlsSettingsTest, AcceptsEverythingTogether) {
  tls_.tls_method = "tlsv1.3";
  tls_.tls_alpn = "mqtt";
  tls_.certificate = files_->Path("client.crt");
  tls_.private_key = files_->Path("client.key");
  tls_.cipher_list = "HIGH";
  tls_.verify_certificate = "0";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(TlsSettingsTest, CaFileIsAFileOfCertificates) {
  tls_.ca_file = "/nowhere/ca.pem";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"ca_file\": value \"/nowhere/ca.pem\": "
                          "cannot be opened: No such file or directory"));
  tls_.ca_file = files_->Path("client.key");
  EXPECT_THAT(Problems(),
              ElementsAre(Refuses("ca_file", "holds no PEM certificate")));
}

TEST_F(TlsSettingsTest, CaPathIsADirectory) {
  tls_.ca_file.reset();
  tls_.ca_path = "/nowhere";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"ca_path\": value \"/nowhere\": cannot "
                          "be opened as a directory: No such file or "
                          "directory"));
}

TEST_F(TlsSettingsTest, CaPathIsHashedUnlessNothingIsVerified) {
  tls_.ca_file.reset();
  tls_.ca_path = files_->MakeDirectory("not_hashed");
  EXPECT_THAT(Problems(),
              ElementsAre(AllOf(StartsWith("parameter \"ca_path\": value \""),
                                HasSubstr("openssl rehash"))));
  tls_.verify_certificate = "0";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(TlsSettingsTest, CaFileAndCaPathExcludeEachOther) {
  tls_.ca_path = files_->Path("cas");
  EXPECT_THAT(Problems(),
              ElementsAre(Refuses(
                  "ca_path", "must not be set together with \"ca_file\"")));
}

TEST_F(TlsSettingsTest, TlsMethodIsOneThatLibmosquittoKnows) {
  for (const char* method : {"tlsv1.3", "tlsv1.2", "tlsv1.1"}) {
    tls_.tls_method = method;
    EXPECT_THAT(Problems(), IsEmpty()) << method;
  }
  // libmosquitto takes the first of these, and then fails to connect.
  for (const char* method : {"TLSv1.2", "", "tlsv1.4", "sslv3", "tlsv1.2 "}) {
    tls_.tls_method = method;
    EXPECT_THAT(Problems(), ElementsAre(absl::StrCat(
                                "parameter \"tls_method\": value \"", method,
                                "\": must be tlsv1.3, tlsv1.2 or tlsv1.1")));
  }
}

TEST_F(TlsSettingsTest, TlsMethodOfOldIsExplained) {
  tls_.tls_method = "tlsv1";
  EXPECT_THAT(
      Problems(),
      ElementsAre("parameter \"tls_method\": value \"tlsv1\": is no longer "
                  "supported by libmosquitto: must be tlsv1.3, tlsv1.2 or "
                  "tlsv1.1"));
}

TEST_F(TlsSettingsTest, TlsAlpnIsFrom1To254Bytes) {
  for (const size_t size : {1, 254}) {
    tls_.tls_alpn = std::string(size, 'x');
    EXPECT_THAT(Problems(), IsEmpty());
  }
  for (const size_t size : {0, 255, 100000}) {
    tls_.tls_alpn = std::string(size, 'x');
    EXPECT_THAT(Problems(), ElementsAre(AllOf(
                                StartsWith("parameter \"tls_alpn\": value \""),
                                HasSubstr("\": must be from 1 to 254 bytes"))));
  }
}

TEST_F(TlsSettingsTest, CertificateAndKeyComeInPairs) {
  tls_.certificate = files_->Path("client.crt");
  EXPECT_THAT(Problems(),
              ElementsAre(Refuses(
                  "certificate", "must be set together with \"private_key\"")));
  tls_.certificate.reset();
  tls_.private_key = files_->Path("client.key");
  EXPECT_THAT(Problems(),
              ElementsAre(Refuses(
                  "private_key", "must be set together with \"certificate\"")));
}

TEST_F(TlsSettingsTest, TheKeyFitsTheCertificate) {
  tls_.certificate = files_->Path("client.crt");
  tls_.private_key = files_->Path("other.key");
  EXPECT_THAT(
      Problems(),
      ElementsAre(Refuses(
          "private_key", "does not fit the certificate: key values mismatch")));
}

TEST_F(TlsSettingsTest, CertificateAndKeyAreBothReportedOnce) {
  tls_.certificate = "/nowhere/client.crt";
  tls_.private_key = "/nowhere/client.key";
  EXPECT_THAT(
      Problems(),
      ElementsAre("parameter \"certificate\": value \"/nowhere/client.crt\": "
                  "cannot be opened: No such file or directory",
                  "parameter \"private_key\": value \"/nowhere/client.key\": "
                  "cannot be opened: No such file or directory"));
}

TEST_F(TlsSettingsTest, TheCipherListSetsTheSecurityLevelOfTheCertificate) {
  files_->MakeCertificate("weak", "-newkey rsa:1024");
  tls_.certificate = files_->Path("weak.crt");
  tls_.private_key = files_->Path("weak.key");
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("ee key too small")));
  tls_.cipher_list = "DEFAULT@SECLEVEL=1";
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(TlsSettingsTest, CipherListIsOneThatOpenSslKnows) {
  tls_.cipher_list = "nonsense";
  EXPECT_THAT(Problems(),
              ElementsAre("parameter \"cipher_list\": value \"nonsense\": is "
                          "not a cipher list for TLS 1.2 or older: no cipher "
                          "match"));
}

TEST_F(TlsSettingsTest, VerifyCertificateIsASwitch) {
  for (const char* value : {"0", "1"}) {
    tls_.verify_certificate = value;
    EXPECT_THAT(Problems(), IsEmpty());
  }
  for (const char* value : {"", "2", "-1", "00", "yes", " 1"}) {
    tls_.verify_certificate = value;
    EXPECT_THAT(Problems(), ElementsAre(absl::StrCat(
                                "parameter \"verify_certificate\": value \"",
                                value, "\": must be 0 or 1")));
  }
}

TEST_F(TlsSettingsTest, TlsParametersNeedACa) {
  tls_.ca_file.reset();
  tls_.tls_method = "tlsv1.3";
  tls_.tls_alpn = "mqtt";
  tls_.certificate = files_->Path("client.crt");
  tls_.private_key = files_->Path("client.key");
  tls_.cipher_list = "HIGH";
  EXPECT_THAT(
      Problems(),
      AllOf(Each(HasSubstr("\": needs \"ca_file\" or \"ca_path\": without them "
                           "the connection would not be encrypted")),
            ElementsAre(HasSubstr("\"tls_method\""), HasSubstr("\"tls_alpn\""),
                        HasSubstr("\"certificate\""),
                        HasSubstr("\"private_key\""),
                        HasSubstr("\"cipher_list\""))));
}

TEST_F(TlsSettingsTest, VerifyCertificateAloneIsHarmless) {
  tls_.ca_file.reset();
  tls_.verify_certificate = "0";
  EXPECT_THAT(Problems(), IsEmpty());
}

// All together.

TEST_F(SettingsTest, EveryProblemHasItsLineInTheOrderOfTheParameters) {
  settings_.host = "";
  settings_.port = 0;
  settings_.keepalive_seconds = 1;
  settings_.id = "";
  settings_.username = "\xFF";
  settings_.password = std::string(70000, '?');
  settings_.will = {"#", std::string(70000, '?'), 3, 2};
  settings_.tls.ca_file = "/nowhere";
  settings_.tls.ca_path = "/nowhere";
  settings_.tls.tls_method = "x";
  settings_.tls.tls_alpn = "";
  settings_.tls.certificate = "/nowhere";
  settings_.tls.private_key = "/nowhere";
  settings_.tls.cipher_list = "x";
  settings_.tls.verify_certificate = "x";
  settings_.resubscribe = 2;
  settings_.queue = {0, 0, "x", -1};
  settings_.reconnect = {0, -1};
  settings_.connect_timeout_seconds = 0;
  settings_.drain_timeout_ms = -1;
  const std::vector<std::string> problems = Problems();
  EXPECT_THAT(problems, Each(Not(HasSubstr("??"))));
  std::vector<std::string> parameters;
  for (const std::string& problem : problems) {
    parameters.push_back(problem.substr(0, problem.find(':')));
  }
  EXPECT_THAT(
      parameters,
      ElementsAre(
          "parameter \"host\"", "parameter \"port\"", "parameter \"keepalive\"",
          "parameter \"id\"", "parameter \"username\"",
          "parameter \"password\"", "parameter \"will_topic\"",
          "parameter \"will\"", "parameter \"will_qos\"",
          "parameter \"will_retain\"", "parameter \"ca_file\"",
          "parameter \"ca_path\"", "parameter \"ca_path\"",
          "parameter \"tls_method\"", "parameter \"tls_alpn\"",
          "parameter \"certificate\"", "parameter \"private_key\"",
          "parameter \"cipher_list\"", "parameter \"verify_certificate\"",
          "parameter \"resubscribe\"", "parameter \"queue_max_messages\"",
          "parameter \"queue_max_bytes\"", "parameter \"queue_policy\"",
          "parameter \"queue_ttl\"", "parameter \"reconnect_delay\"",
          "parameter \"reconnect_delay_max\"", "parameter \"connect_timeout\"",
          "parameter \"drain_timeout\""));
}

}  // namespace
}  // namespace kamailio_mqtt
