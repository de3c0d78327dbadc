// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/tls_check.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mqtt_core/testing/tls_files.h"

namespace kamailio_mqtt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kNoCipherList[] = "";

class TlsCheckTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = new TlsFiles;
    files_->MakeCertificate("client");
    files_->MakeCertificate("other");
    files_->MakeCertificate("rsa", "-newkey rsa:2048");
  }
  static void TearDownTestSuite() {
    delete files_;
    files_ = nullptr;
  }

  void TearDown() override {
    EXPECT_EQ(ERR_peek_error(), 0u) << "left in OpenSSL's error queue";
  }

  static TlsFiles* files_;
};

TlsFiles* TlsCheckTest::files_ = nullptr;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// What every check of a file has in common.

using FileCheck = absl::Status (*)(const std::string& path);

absl::Status CheckCertificateFile(const std::string& path) {
  return CheckCertificate(path, kNoCipherList);
}

class FileCheckTest : public TlsCheckTest,
                      public testing::WithParamInterface<FileCheck> {
 protected:
  static std::string Check(const std::string& path) {
    const absl::Status status = GetParam()(path);
    EXPECT_FALSE(status.ok());
    return Message(status);
  }
};

INSTANTIATE_TEST_SUITE_P(All, FileCheckTest,
                         testing::Values(CheckCaFile, CheckCertificateFile,
                                         CheckPrivateKey));

TEST_P(FileCheckTest, RefusesAMissingFile) {
  EXPECT_EQ(Check(files_->Path("missing")),
            "cannot be opened: No such file or directory");
}

TEST_P(FileCheckTest, RefusesAnEmptyPath) {
  EXPECT_EQ(Check(""), "cannot be opened: No such file or directory");
}

TEST_P(FileCheckTest, RefusesASymbolicLinkToItself) {
  const std::string loop = files_->Path("loop");
  std::filesystem::remove(loop);
  std::filesystem::create_symlink(loop, loop);
  EXPECT_EQ(Check(loop), "cannot be opened: Too many levels of symbolic links");
}

TEST_P(FileCheckTest, RefusesAPathThatIsTooLong) {
  EXPECT_EQ(Check(std::string(100000, 'x')),
            "cannot be opened: File name too long");
}

TEST_P(FileCheckTest, RefusesADirectory) {
  EXPECT_EQ(Check(files_->Path(".")), "is not a regular file");
}

TEST_P(FileCheckTest, RefusesAFifoWithoutWaitingForAWriter) {
  const std::string fifo = files_->Path("fifo");
  std::filesystem::remove(fifo);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(Check(fifo), "is not a regular file");
}

TEST_P(FileCheckTest, RefusesAFifoWithoutWaitingForData) {
  const std::string fifo = files_->Path("fifo_with_writer");
  std::filesystem::remove(fifo);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int writer = open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  EXPECT_EQ(Check(fifo), "is not a regular file");
  close(writer);
}

TEST_P(FileCheckTest, RefusesADeviceThatNeverEnds) {
  EXPECT_EQ(Check("/dev/zero"), "is not a regular file");
}

TEST_P(FileCheckTest, RefusesAnEmptyFile) {
  EXPECT_EQ(Check(files_->Write("empty", "")), "is empty");
}

TEST_P(FileCheckTest, RefusesAFileOfTheKernelWithoutSize) {
  EXPECT_EQ(Check("/proc/self/status"), "is empty");
}

TEST_P(FileCheckTest, RefusesAHugeFile) {
  const std::string path = files_->Write("huge", "x");
  // Sparse: takes no room on the disk.
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(Check(path), "is larger than 4194304 bytes");
}

TEST_P(FileCheckTest, RefusesTheLargestFileWithoutPem) {
  const std::string path = files_->Write("large", "x");
  ASSERT_EQ(truncate(path.c_str(), kMaxPemFileBytes), 0);
  EXPECT_THAT(Check(path), StartsWith("holds no PEM "));
}

TEST_P(FileCheckTest, RefusesText) {
  EXPECT_THAT(Check(files_->Write("text", "listen=udp:127.0.0.1:5060\n")),
              StartsWith("holds no PEM "));
}

TEST_P(FileCheckTest, RefusesZeros) {
  EXPECT_THAT(Check(files_->Write("zeros", std::string(1000, '\0'))),
              StartsWith("holds no PEM "));
}

TEST_P(FileCheckTest, RefusesPemOfAnotherKind) {
  EXPECT_THAT(Check(files_->Write("public_key",
                                  "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqow"
                                  "tzZ9tdEX6YvEFmE=\n"
                                  "-----END PUBLIC KEY-----\n")),
              StartsWith("holds no PEM "));
}

// CA files.

TEST_F(TlsCheckTest, AcceptsACaFile) {
  EXPECT_EQ(CheckCaFile(files_->Path("client.crt")), absl::OkStatus());
}

TEST_F(TlsCheckTest, AcceptsABundleWithRemarks) {
  EXPECT_EQ(CheckCaFile(files_->Write(
                "bundle",
                absl::StrCat("The first:\n", files_->Read("rsa.crt"),
                             "\nThe second:\r\n", files_->Read("client.crt")))),
            absl::OkStatus());
}

TEST_F(TlsCheckTest, AcceptsACaFileWithoutALineEnd) {
  std::string content = files_->Read("client.crt");
  content.pop_back();
  EXPECT_EQ(CheckCaFile(files_->Write("no_line_end", content)),
            absl::OkStatus());
}

TEST_F(TlsCheckTest, AcceptsATrustedCertificateAsCa) {
  files_->OpenSsl("x509 -in client.crt -trustout -out trusted.crt");
  EXPECT_EQ(CheckCaFile(files_->Path("trusted.crt")), absl::OkStatus());
}

TEST_F(TlsCheckTest, RefusesAKeyAsCaFile) {
  EXPECT_EQ(Message(CheckCaFile(files_->Path("client.key"))),
            "holds no PEM certificate");
}

TEST_F(TlsCheckTest, RefusesAnEncryptedKeyAsCaFileWithoutAsking) {
  files_->OpenSsl(
      "pkcs8 -topk8 -in client.key -passout pass:x -out asking.key");
  EXPECT_EQ(Message(CheckCaFile(files_->Path("asking.key"))),
            "holds no PEM certificate");
}

TEST_F(TlsCheckTest, RefusesADerFileAsCaFile) {
  files_->OpenSsl("x509 -in client.crt -outform DER -out ca.der");
  EXPECT_EQ(Message(CheckCaFile(files_->Path("ca.der"))),
            "holds no PEM certificate");
}

TEST_F(TlsCheckTest, RefusesABundleWithOneBrokenCertificate) {
  std::string broken = files_->Read("rsa.crt");
  broken[broken.size() / 2] = '!';
  const std::string path = files_->Write(
      "broken_bundle", absl::StrCat(files_->Read("client.crt"), broken));
  EXPECT_EQ(Message(CheckCaFile(path)), "is malformed: bad base64 decode");
}

TEST_F(TlsCheckTest, RefusesACaFileThatIsCutOff) {
  const std::string content = files_->Read("client.crt");
  EXPECT_THAT(Message(CheckCaFile(files_->Write(
                  "cut_ca", content.substr(0, content.size() / 2)))),
              StartsWith("is malformed: "));
}

TEST_F(TlsCheckTest, RefusesPemOfSomethingElseInACaFile) {
  EXPECT_THAT(Message(CheckCaFile(
                  files_->Write("nonsense_ca",
                                "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n"
                                "-----END CERTIFICATE-----\n"))),
              StartsWith("is malformed: "));
}

// Directories of CAs.

TEST_F(TlsCheckTest, AcceptsACaDirectoryAfterRehash) {
  const std::string path = files_->MakeDirectory("rehashed");
  files_->Write("rehashed/ca.pem", files_->Read("client.crt"));
  EXPECT_THAT(Message(CheckCaDirectory(path, /*verifies=*/true)),
              HasSubstr("openssl rehash"));
  files_->OpenSsl("rehash rehashed");
  EXPECT_EQ(CheckCaDirectory(path, /*verifies=*/true), absl::OkStatus());
}

TEST_F(TlsCheckTest, RefusesAnEmptyCaDirectoryForVerificationOnly) {
  const std::string path = files_->MakeDirectory("empty_directory");
  EXPECT_THAT(Message(CheckCaDirectory(path, /*verifies=*/true)),
              HasSubstr("openssl rehash"));
  EXPECT_EQ(CheckCaDirectory(path, /*verifies=*/false), absl::OkStatus());
}

TEST_F(TlsCheckTest, RefusesWhatIsNoHashedCertificate) {
  const std::string path = files_->MakeDirectory("no_hash");
  for (const char* name : {"a", "ca.pem", "01234567", "01234567.", "0123456.0",
                           "012345678.0", "01234567.r0", "01234567.0x",
                           "0123456g.0", "ABCDEF01.0", "01234567x0"}) {
    files_->Write(absl::StrCat("no_hash/", name), "");
  }
  files_->MakeDirectory("no_hash/01234567.0");
  std::filesystem::create_symlink("nowhere", path + "/89abcdef.0");
  EXPECT_THAT(Message(CheckCaDirectory(path, /*verifies=*/true)),
              HasSubstr("openssl rehash"));
  files_->Write("no_hash/01234567.12", "");
  EXPECT_EQ(CheckCaDirectory(path, /*verifies=*/true), absl::OkStatus());
}

TEST_F(TlsCheckTest, RefusesAsCaDirectoryWhatIsNone) {
  for (const bool verifies : {false, true}) {
    EXPECT_EQ(Message(CheckCaDirectory(files_->Path("missing"), verifies)),
              "cannot be opened as a directory: No such file or directory");
    EXPECT_EQ(Message(CheckCaDirectory("", verifies)),
              "cannot be opened as a directory: No such file or directory");
    EXPECT_EQ(Message(CheckCaDirectory(files_->Path("client.crt"), verifies)),
              "cannot be opened as a directory: Not a directory");
  }
}

// Cipher lists.

TEST_F(TlsCheckTest, AcceptsCipherLists) {
  for (const char* list :
       {"HIGH", "DEFAULT", "ALL:!aNULL", "ECDHE-RSA-AES256-GCM-SHA384",
        "HIGH:unknown", "DEFAULT@SECLEVEL=0"}) {
    EXPECT_EQ(CheckCipherList(list), absl::OkStatus()) << list;
  }
}

TEST_F(TlsCheckTest, RefusesCipherListsWithoutCipher) {
  for (const char* list :
       {"", " ", "unknown", "ALL:!ALL", "TLS_AES_256_GCM_SHA384"}) {
    EXPECT_EQ(Message(CheckCipherList(list)),
              "is not a cipher list for TLS 1.2 or older: no cipher match")
        << list;
  }
}

TEST_F(TlsCheckTest, RefusesMalformedCipherLists) {
  for (const char* list : {"HIGH:@NONSENSE", "DEFAULT:@SECLEVEL=9"}) {
    EXPECT_EQ(Message(CheckCipherList(list)),
              "is not a cipher list for TLS 1.2 or older: invalid command")
        << list;
  }
}

// Certificates.

TEST_F(TlsCheckTest, AcceptsCertificates) {
  EXPECT_EQ(CheckCertificateFile(files_->Path("client.crt")), absl::OkStatus());
  EXPECT_EQ(CheckCertificateFile(files_->Path("rsa.crt")), absl::OkStatus());
  EXPECT_EQ(CheckCertificate(files_->Path("client.crt"), "HIGH"),
            absl::OkStatus());
}

TEST_F(TlsCheckTest, AcceptsACertificateWithItsChain) {
  const std::string path = files_->Write(
      "chain", absl::StrCat(files_->Read("client.crt"), files_->Read("rsa.crt"),
                            files_->Read("other.crt")));
  EXPECT_EQ(CheckCertificateFile(path), absl::OkStatus());
}

TEST_F(TlsCheckTest, AcceptsKeyAndCertificateInOneFile) {
  const std::string path = files_->Write(
      "one_file",
      absl::StrCat(files_->Read("client.key"), files_->Read("client.crt")));
  EXPECT_EQ(CheckCertificateFile(path), absl::OkStatus());
  EXPECT_EQ(CheckPrivateKey(path), absl::OkStatus());
  EXPECT_EQ(CheckKeyFitsCertificate(path, path), absl::OkStatus());
}

TEST_F(TlsCheckTest, RefusesAKeyAsCertificate) {
  EXPECT_EQ(Message(CheckCertificateFile(files_->Path("client.key"))),
            "holds no PEM certificate");
}

TEST_F(TlsCheckTest, RefusesABrokenCertificate) {
  std::string broken = files_->Read("client.crt");
  broken[broken.size() / 2] = '!';
  EXPECT_EQ(
      Message(CheckCertificateFile(files_->Write("broken_client", broken))),
      "holds a malformed certificate: bad base64 decode");
}

TEST_F(TlsCheckTest, RefusesACertificateThatIsCutOff) {
  const std::string content = files_->Read("client.crt");
  EXPECT_THAT(Message(CheckCertificateFile(
                  files_->Write("cut", content.substr(0, content.size() / 2)))),
              StartsWith("holds a malformed certificate: "));
}

TEST_F(TlsCheckTest, RefusesABrokenChain) {
  std::string broken = files_->Read("rsa.crt");
  broken[broken.size() / 2] = '!';
  const std::string path = files_->Write(
      "broken_chain", absl::StrCat(files_->Read("client.crt"), broken));
  EXPECT_EQ(Message(CheckCertificateFile(path)),
            "holds a malformed certificate: bad base64 decode");
}

TEST_F(TlsCheckTest, WeakCertificatesNeedALowSecurityLevel) {
  files_->MakeCertificate("weak", "-newkey rsa:1024");
  const std::string weak = files_->Path("weak.crt");
  const std::string weak_chain = files_->Write(
      "weak_chain",
      absl::StrCat(files_->Read("client.crt"), files_->Read("weak.crt")));
  EXPECT_EQ(Message(CheckCertificateFile(weak)),
            "cannot be used for TLS: ee key too small");
  EXPECT_EQ(Message(CheckCertificateFile(weak_chain)),
            "cannot be used for TLS: ca key too small");
  EXPECT_EQ(Message(CheckCertificate(weak, "nonsense")),
            "cannot be used for TLS: ee key too small");
  EXPECT_EQ(CheckCertificate(weak, "DEFAULT@SECLEVEL=1"), absl::OkStatus());
  EXPECT_EQ(CheckCertificate(weak_chain, "DEFAULT@SECLEVEL=1"),
            absl::OkStatus());
}

// Keys.

TEST_F(TlsCheckTest, AcceptsPrivateKeys) {
  files_->OpenSsl("rsa -in rsa.key -traditional -out traditional_rsa.key");
  files_->OpenSsl("ec -in client.key -out traditional_ec.key");
  files_->OpenSsl("genpkey -algorithm ed25519 -out ed25519.key");
  for (const char* name : {"client.key", "rsa.key", "traditional_rsa.key",
                           "traditional_ec.key", "ed25519.key"}) {
    EXPECT_EQ(CheckPrivateKey(files_->Path(name)), absl::OkStatus()) << name;
  }
}

TEST_F(TlsCheckTest, RefusesKeysWithAPassphraseWithoutAsking) {
  files_->OpenSsl(
      "pkcs8 -topk8 -in client.key -passout pass:secret -out pkcs8.key");
  files_->OpenSsl(
      "rsa -in rsa.key -traditional -aes256 -passout pass:secret "
      "-out aes.key");
  for (const char* name : {"pkcs8.key", "aes.key"}) {
    EXPECT_THAT(Message(CheckPrivateKey(files_->Path(name))),
                AllOf(StartsWith("is encrypted with a passphrase"),
                      HasSubstr("openssl pkey"), Not(HasSubstr("secret"))))
        << name;
  }
}

TEST_F(TlsCheckTest, RefusesACertificateAsKey) {
  EXPECT_EQ(Message(CheckPrivateKey(files_->Path("client.crt"))),
            "holds no PEM private key");
}

TEST_F(TlsCheckTest, RefusesADerFileAsKey) {
  files_->OpenSsl("pkey -in client.key -outform DER -out key.der");
  EXPECT_EQ(Message(CheckPrivateKey(files_->Path("key.der"))),
            "holds no PEM private key");
}

TEST_F(TlsCheckTest, RefusesABrokenKey) {
  std::string broken = files_->Read("client.key");
  broken[broken.size() / 2] = '!';
  EXPECT_EQ(Message(CheckPrivateKey(files_->Write("broken.key", broken))),
            "holds a malformed private key: bad base64 decode");
}

TEST_F(TlsCheckTest, RefusesAKeyThatIsCutOff) {
  const std::string content = files_->Read("client.key");
  EXPECT_THAT(Message(CheckPrivateKey(files_->Write(
                  "cut.key", content.substr(0, content.size() / 2)))),
              StartsWith("holds a malformed private key: "));
}

TEST_F(TlsCheckTest, RefusesPemOfSomethingElseAsKey) {
  for (const char* type : {"PRIVATE KEY", "EC PRIVATE KEY"}) {
    const std::string path = files_->Write(
        "nonsense.key", absl::StrCat("-----BEGIN ", type, "-----\nbm9uc2Vuc2U=",
                                     "\n-----END ", type, "-----\n"));
    EXPECT_EQ(Message(CheckPrivateKey(path)),
              "holds a private key that OpenSSL cannot read");
  }
}

// Pairs.

TEST_F(TlsCheckTest, AcceptsAKeyThatFits) {
  for (const char* name : {"client", "other", "rsa"}) {
    EXPECT_EQ(CheckKeyFitsCertificate(files_->Path(absl::StrCat(name, ".key")),
                                      files_->Path(absl::StrCat(name, ".crt"))),
              absl::OkStatus())
        << name;
  }
}

TEST_F(TlsCheckTest, RefusesTheKeyOfAnotherCertificate) {
  EXPECT_EQ(Message(CheckKeyFitsCertificate(files_->Path("client.key"),
                                            files_->Path("other.crt"))),
            "does not fit the certificate: key values mismatch");
}

TEST_F(TlsCheckTest, RefusesAKeyOfAnotherType) {
  EXPECT_EQ(Message(CheckKeyFitsCertificate(files_->Path("client.key"),
                                            files_->Path("rsa.crt"))),
            "does not fit the certificate: different key types");
}

TEST_F(TlsCheckTest, ComparesWithTheFirstCertificateOfAChain) {
  const std::string chain = files_->Write(
      "chain_to_fit",
      absl::StrCat(files_->Read("client.crt"), files_->Read("other.crt")));
  EXPECT_EQ(CheckKeyFitsCertificate(files_->Path("client.key"), chain),
            absl::OkStatus());
  EXPECT_EQ(Message(CheckKeyFitsCertificate(files_->Path("other.key"), chain)),
            "does not fit the certificate: key values mismatch");
}

TEST_F(TlsCheckTest, ReportsAFileThatVanishedBeforeTheComparison) {
  EXPECT_EQ(Message(CheckKeyFitsCertificate(files_->Path("missing"),
                                            files_->Path("client.crt"))),
            "cannot be opened: No such file or directory");
  EXPECT_EQ(Message(CheckKeyFitsCertificate(files_->Path("client.key"),
                                            files_->Path("missing"))),
            "cannot be opened: No such file or directory");
}

// The state of the process.

TEST_F(TlsCheckTest, LeavesNoDescriptorOpen) {
  const auto count_descriptors = [] {
    const std::filesystem::directory_iterator begin("/proc/self/fd"), end;
    return std::distance(begin, end);
  };
  const auto before = count_descriptors();
  EXPECT_FALSE(CheckCaFile(files_->Path(".")).ok());
  EXPECT_FALSE(CheckCaDirectory(files_->Path("."), /*verifies=*/true).ok());
  EXPECT_TRUE(CheckCaDirectory(files_->Path("."), /*verifies=*/false).ok());
  EXPECT_TRUE(CheckCaFile(files_->Path("client.crt")).ok());
  EXPECT_TRUE(CheckPrivateKey(files_->Path("client.key")).ok());
  EXPECT_EQ(count_descriptors(), before);
}

TEST_F(TlsCheckTest, IsNotMisledByAnEarlierError) {
  ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
  EXPECT_EQ(Message(CheckCipherList("nonsense")),
            "is not a cipher list for TLS 1.2 or older: no cipher match");
  ERR_raise(ERR_LIB_PEM, ERR_R_INTERNAL_ERROR);
  EXPECT_EQ(CheckCertificateFile(files_->Path("client.crt")), absl::OkStatus());
}

}  // namespace
}  // namespace kamailio_mqtt
