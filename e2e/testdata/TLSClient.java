import java.io.*;
import java.net.URI;
import java.net.URL;
import java.net.http.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.Properties;
import javax.net.ssl.*;

/** Makes one request for each line of standard input: API VERSION CA URL [-Dproperty=value]... */
public class TLSClient {
    public static void main(String[] none) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; System.out.println("--")) {
            try {
                System.out.println(call(line.split(" ")));
            } catch (Throwable e) {
                for (; e != null; e = e.getCause()) System.out.println(e);
            }
        }
    }

    static String call(String[] line) throws Exception {
        Properties p = new Properties();
        for (int i = 4; i < line.length; i++) {
            String[] property = line[i].substring(2).split("=", 2);
            p.setProperty(property[0], property[1]);
        }
        SSLContext context = SSLContext.getInstance(line[1]);
        context.init(keys(p), roots(p, line[2]), null);
        if (line[0].equals("HttpClient")) {
            HttpClient client = HttpClient.newBuilder().sslContext(context).version(HttpClient.Version.HTTP_1_1).build();
            HttpRequest request = HttpRequest.newBuilder(URI.create(line[3])).timeout(Duration.ofSeconds(60)).build();
            return client.send(request, HttpResponse.BodyHandlers.ofString()).body();
        }
        HttpsURLConnection connection = (HttpsURLConnection) new URL(line[3]).openConnection();
        connection.setSSLSocketFactory(context.getSocketFactory());
        return new String(connection.getInputStream().readAllBytes());
    }

    static KeyManager[] keys(Properties p) throws Exception {
        String file = p.getProperty("javax.net.ssl.keyStore");
        if (file == null) return null;
        char[] password = p.getProperty("javax.net.ssl.keyStorePassword").toCharArray();
        KeyManagerFactory f = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        f.init(KeyStore.getInstance(new File(file), password), password);
        return f.getKeyManagers();
    }

    static TrustManager[] roots(Properties p, String ca) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        String file = p.getProperty("javax.net.ssl.trustStore");
        if (file != null) {
            store = KeyStore.getInstance(new File(file), p.getProperty("javax.net.ssl.trustStorePassword").toCharArray());
        } else if (!ca.equals("none")) {
            try (InputStream in = new FileInputStream(ca)) {
                store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
            }
        } else {
            return null;
        }
        TrustManagerFactory f = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        f.init(store);
        return f.getTrustManagers();
    }
}
