package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// An identity is somebody in the cluster who shows a certificate.
type identity struct {
	file   string // the name of the files, without .crt and .key
	name   string
	groups []string
	hosts  []string // what a server is called; none for a client
}

// identities are what Kubernetes' own authorization rules expect.
func identities() []identity {
	return []identity{
		{file: "server", name: "headgate-test", hosts: []string{"127.0.0.1", nodeIP, apiService, "localhost", nodeName, "kubernetes.default.svc", "kubernetes.default", "kubernetes"}},
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "proxy", name: "system:kube-proxy"},
		{file: "kubelet", name: "system:node:" + nodeName, groups: []string{"system:nodes"}},
		// How the API server shows itself to the kubelet, for logs and exec.
		{file: "apiserver-client", name: "kube-apiserver", groups: []string{"system:masters"}},
	}
}

// writePKI makes an authority, a certificate of it for every identity, the key
// that signs service account tokens, and the passwords.
func (c *cluster) writePKI() error {
	authority := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "headgate-test"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	authorityKey, err := c.issue("ca", authority, authority, nil)
	if err != nil {
		return err
	}
	for _, id := range identities() {
		certificate := &x509.Certificate{
			Subject:     pkix.Name{CommonName: id.name, Organization: id.groups},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		if len(id.hosts) > 0 {
			certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		for _, host := range id.hosts {
			if ip := net.ParseIP(host); ip != nil {
				certificate.IPAddresses = append(certificate.IPAddresses, ip)
			} else {
				certificate.DNSNames = append(certificate.DNSNames, host)
			}
		}
		if _, err := c.issue(id.file, certificate, authority, authorityKey); err != nil {
			return err
		}
	}
	if _, err := c.writeKey("service-accounts"); err != nil {
		return err
	}
	token := secret()
	for name, content := range map[string]string{
		"token":          token,
		"tokens.csv":     token + `,admin,admin,"system:masters"` + "\n",
		"redis-password": secret(),
	} {
		if err := os.WriteFile(c.path("pki", name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write secret: %w", err)
		}
	}
	return nil
}

// issue signs the certificate, with its own key if no authority's is given,
// and writes it and its key down.
func (c *cluster) issue(file string, certificate, authority *x509.Certificate, authorityKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := c.writeKey(file)
	if err != nil {
		return nil, err
	}
	if authorityKey == nil {
		authorityKey = key
	}
	certificate.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("issue certificate %s: %w", file, err)
	}
	// Clocks of the machine may be set back a little after this.
	certificate.NotBefore = time.Now().Add(-time.Hour)
	certificate.NotAfter = time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, &key.PublicKey, authorityKey)
	if err != nil {
		return nil, fmt.Errorf("issue certificate %s: %w", file, err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(c.path("pki", file+".crt"), block, 0o600); err != nil {
		return nil, fmt.Errorf("issue certificate %s: %w", file, err)
	}
	return key, nil
}

func (c *cluster) writeKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", file, err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", file, err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(c.path("pki", file+".key"), block, 0o600); err != nil {
		return nil, fmt.Errorf("make key %s: %w", file, err)
	}
	return key, nil
}

func secret() string {
	random := make([]byte, 16)
	rand.Read(random) // Never fails: see crypto/rand.
	return hex.EncodeToString(random)
}
